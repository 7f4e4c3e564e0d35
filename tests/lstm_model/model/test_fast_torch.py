"""torch's private calls and the public ways, held against each other; and what happens when a
private name goes or comes to mean something else.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from lstm_model.configuration import Configuration, DataSettings
from lstm_model.data.encoded_table import EncodedTable
from lstm_model.data.step import Step
from lstm_model.model import fast_torch
from lstm_model.model.fast_torch import AdamW, AdamWTensors
from lstm_model.training.trainer import Trainer

WAYS: tuple[Literal["private", "public"], ...] = ("private", "public")


@pytest.fixture(autouse=True)
def unchecked() -> Iterator[None]:
    """As in a fresh process."""
    for check in (fast_torch.engine_works, fast_torch.fused_adamw_works):
        check.cache_clear()
    yield
    for check in (fast_torch.engine_works, fast_torch.fused_adamw_works):
        check.cache_clear()


@pytest.fixture(scope="module")
def series() -> EncodedTable:
    clock = pd.date_range("2020-01-01", periods=600, freq="h")
    table = pd.DataFrame({"pm": 50 + 20 * np.sin(np.arange(600.0) / 5)}, clock)
    settings = DataSettings(
        source="x.csv",
        target="pm",
        features=("pm",),
        validation_from=datetime(2020, 1, 17),
        test_from=datetime(2020, 1, 22),
    )
    return EncodedTable.from_table(table, Step(3600), settings)


def trained(series: EncodedTable) -> list[Tensor]:
    fit = Trainer(Configuration(hidden_size=8), series, max_epochs=2, seed=0)
    for _ in range(2):
        fit.run_epoch()
    return [parameter.detach() for parameter in fit.last.averaged.parameters()]


def test_this_torch_has_both_private_calls() -> None:
    assert fast_torch.engine_works(), "backward passes import torch's compiler now"
    assert fast_torch.fused_adamw_works("cpu"), "every step takes several operations now"


def test_a_training_comes_to_the_same_either_way(
    series: EncodedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = trained(series)
    by_way = []
    for way in WAYS:
        monkeypatch.setattr(fast_torch, "override", way)
        by_way.append(trained(series))
    private, public = by_way
    assert all(torch.equal(*pair) for pair in zip(chosen, private, strict=True))
    assert not all(torch.equal(*pair) for pair in zip(private, public, strict=True)), "one way"
    for pair in zip(private, public, strict=True):
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)


def test_backward_passes_add_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = []
    for way in WAYS:
        monkeypatch.setattr(fast_torch, "override", way)
        weight = torch.linspace(-1, 1, 12).reshape(3, 4).requires_grad_()
        for scale in (1.0, 0.3):  # the second adds to the first
            out = torch.tanh(torch.ones(2, 3) @ weight)
            fast_torch.run_backward(out, torch.linspace(0, scale, 8).reshape(2, 4))
        assert weight.grad is not None
        gradients.append(weight.grad)
    assert gradients[0].abs().min() > 0
    assert torch.equal(*gradients)


@pytest.mark.parametrize("pieces", [1, 3])
def test_steps_of_adamw_are_the_same(pieces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    adamw = AdamW(lr=0.01, beta1=0.9, beta2=0.999, weight_decay=0.1, eps=1e-8)
    results = []
    for way in WAYS:
        monkeypatch.setattr(fast_torch, "override", way)
        draw = torch.Generator().manual_seed(1)
        weights = [torch.randn(5, generator=draw) for _ in range(pieces)]
        first, second = ([torch.zeros(5) for _ in range(pieces)] for _ in range(2))
        for number in range(1, 50):
            gradients = [torch.randn(5, generator=draw) for _ in range(pieces)]
            step, divisor = torch.tensor(float(number)), torch.tensor(1.0 + number % 3)
            tensors = AdamWTensors(weights, gradients, first, second)
            fast_torch.adamw_step(tensors, step, divisor, adamw)
        results.append(torch.stack([*weights, *first, *second]))
    assert results[0].abs().max() > 0.1
    torch.testing.assert_close(*results, rtol=1e-5, atol=1e-6)


def without_divisor(fused: Callable[..., None]) -> Callable[..., None]:
    def changed(*tensors: Any, grad_scale: Tensor, **options: Any) -> None:
        fused(*tensors, grad_scale=None, **options)

    return changed


def with_divisor_as_factor(fused: Callable[..., None]) -> Callable[..., None]:
    def changed(*tensors: Any, grad_scale: Tensor, **options: Any) -> None:
        fused(*tensors, grad_scale=1 / grad_scale, **options)

    return changed


def without_decay(fused: Callable[..., None]) -> Callable[..., None]:
    def changed(*tensors: Any, weight_decay: float, **options: Any) -> None:
        fused(*tensors, weight_decay=0.0, **options)

    return changed


def counting_from_zero(fused: Callable[..., None]) -> Callable[..., None]:
    def changed(*tensors: Any, **options: Any) -> None:
        fused(*tensors[:5], [step + 1 for step in tensors[5]], **options)

    return changed


def other_arguments(fused: Callable[..., None]) -> Callable[..., None]:
    def changed(tensors: Any, *, lr: float) -> None:
        raise AssertionError("called with the arguments of old")

    return changed


@pytest.mark.parametrize(
    "change",
    [without_divisor, with_divisor_as_factor, without_decay, counting_from_zero, other_arguments],
)
def test_another_meaning_of_the_fused_step_is_not_used(
    series: EncodedTable,
    change: Callable[[Callable[..., None]], Callable[..., None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = trained(series)
    fast_torch.fused_adamw_works.cache_clear()
    monkeypatch.setattr(torch, "_fused_adamw_", change(torch._fused_adamw_))
    assert not fast_torch.fused_adamw_works("cpu")
    for pair in zip(trained(series), expected, strict=True):
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)


def not_adding(engine: Any) -> Any:
    def run_backward(*arguments: Any, accumulate_grad: bool, **options: Any) -> Any:
        return engine.run_backward(*arguments, accumulate_grad=False, **options)

    return SimpleNamespace(run_backward=run_backward)


def doubling(engine: Any) -> Any:
    def run_backward(tensors: Any, gradients: Any, *arguments: Any, **options: Any) -> Any:
        return engine.run_backward(tensors, (gradients[0] * 2,), *arguments, **options)

    return SimpleNamespace(run_backward=run_backward)


def with_another_argument(engine: Any) -> Any:
    def run_backward(tensors: Any, gradients: Any) -> None:
        raise AssertionError("called with the arguments of old")

    return SimpleNamespace(run_backward=run_backward)


@pytest.mark.parametrize(
    "change", [not_adding, doubling, with_another_argument, lambda engine: SimpleNamespace()]
)
def test_another_engine_is_not_used(
    change: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = change(torch.autograd.Variable._execution_engine)
    with monkeypatch.context() as patch:
        patch.setattr(torch.autograd.Variable, "_execution_engine", engine)
        assert not fast_torch.engine_works()
    # The public call has this engine in it here: with it gone as well there is nothing to run.
    weight = torch.ones(2, requires_grad=True)
    fast_torch.run_backward(weight * 3, torch.ones(2))
    assert weight.grad is not None
    assert weight.grad.tolist() == [3.0, 3.0]


def test_missing_names_are_done_without(
    series: EncodedTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = trained(series)
    for check in (fast_torch.engine_works, fast_torch.fused_adamw_works):
        check.cache_clear()
    monkeypatch.delattr(torch, "_fused_adamw_")
    monkeypatch.setattr(torch.autograd, "Variable", torch.autograd.Function)
    assert not hasattr(torch.autograd.Variable, "_execution_engine")
    for pair in zip(trained(series), expected, strict=True):
        torch.testing.assert_close(*pair, rtol=1e-4, atol=1e-5)
    assert not fast_torch.engine_works()
    assert not fast_torch.fused_adamw_works("cpu")


def test_the_checks_change_no_state_of_torch() -> None:
    state = torch.get_rng_state()
    for silent in (torch.inference_mode(), torch.no_grad()):
        fast_torch.engine_works.cache_clear()
        with silent:
            assert fast_torch.engine_works()
            assert fast_torch.fused_adamw_works("cpu")
            assert not torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)
