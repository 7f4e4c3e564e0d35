"""A trained forecaster as an ONNX graph of one step, with a JSON that says how to feed it.

docs/studies.md has what a service does with the two. Of several series one graph serves all: what
differs are the numbers by which inputs are scaled, and `change_scale`, which is an input.

Letters: S members, N layers, H units, F input channels, L lead times.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from lstm_model.errors import InputError
from lstm_model.files import check_writable, write_file
from lstm_model.inference.model_file import WEIGHTS
from lstm_model.inference.saved_forecaster import describe_series
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import SETTLING_ROWS

if TYPE_CHECKING:
    from lstm_model.inference.predictor import TrainedForecaster

STEP_FORMAT = 1
# Old enough for runtimes of the last years; all that is used here is in them.
OPSET, IR_VERSION = 17, 8
# What the JSON says of several series.
CHANGE_SCALE = (
    "an input of the graph, (1, L): the series' own; of one that is not there, the root mean "
    "square, up to the row, of the target's changes from its last observed value to each lead time "
    "that are known by then, 0 where none is"
)
OTHER_SERIES = (
    "`encoding` and `never_negative` are of a series that is not in `series`, whose channels have "
    "no scale: a value is standardised by the mean and the deviation (divided by the count) of the "
    "series' filled values up to its row, and is 0 where that is 0. `series` has the mean, the "
    "scale, the least and the most of each numeric channel, and the mean and the scale of each "
    "past one, in the order of `encoding`"
)


def export(forecaster: "TrainedForecaster", file: str | Path) -> None:
    """Write the graph, and beside it the JSON of the same stem; each whole or not at all.

    Raises:
        InputError: the file can't lie there, ONNX is not installed, or a member is no
            LSTMForecaster.
    """
    file = Path(file)
    facts = file.with_suffix(".json")
    if file.suffix != ".onnx":
        raise InputError(f"the graph's file must end with .onnx, but got {str(file)!r}")
    check_writable("the graph's file", file)
    check_writable("the file beside the graph", facts)
    if facts.exists() and (file.parent / WEIGHTS).exists() and facts.name == "model.json":
        raise InputError(
            f"{facts} would be written, but is a saved model's; choose another name or folder"
        )
    graph = build_step(forecaster)
    write_file(facts, json.dumps(step_facts(forecaster), indent=1).encode())
    write_file(file, graph)


def step_facts(forecaster: "TrainedForecaster") -> dict[str, Any]:
    """What the JSON holds: all but the weights."""
    facts = {
        "format": STEP_FORMAT,
        "target": forecaster.target,
        "horizon": forecaster.horizon,
        "step": forecaster.step.name,
        "step_seconds": forecaster.step.count if forecaster.step.is_fixed else None,
        "members": len(forecaster.models),
        "num_layers": forecaster.config.num_layers,
        "hidden_size": forecaster.config.hidden_size,
        "input_channels": forecaster.encoder.channels,
        "encoding": forecaster.encoder.to_json(),
        "reading": forecaster.reading.model_dump(mode="json"),
        "change_scale": (
            forecaster.change_scales[0].tolist() if forecaster.is_one_series else CHANGE_SCALE
        ),
        "rows_needed": forecaster.rows_needed,
        # As Segments starts: rows before the table are read as the training mean.
        "zero_rows_before": max(0, SETTLING_ROWS - (forecaster.rows_needed - 1)),
        "never_negative": all(forecaster.never_negative),
        "point": "last observed target + change",
        "lowest_change": (
            "0 - last observed target, where never_negative and no target of "
            "the table so far was negative; else minus infinity"
        ),
    }
    if not forecaster.is_one_series:
        facts["other_series"] = OTHER_SERIES
        points = replace(forecaster, intervals=None, intervals_by_series={})
        facts["series"] = describe_series(points)
    return facts


def build_step(forecaster: "TrainedForecaster") -> bytes:
    """The graph's bytes.

    Its inputs are `inputs` (1, F) float32, the memories `long_term` and `short_term` (S, N, 1, H)
    float32, and `lowest_change` (1, 1) float64: each member is cut there before the mean is taken.
    Of several series, `change_scale` (1, L) float64 is one too.
    Its outputs are `change` (1, L) float64, in the target's unit, and the memories after the step,
    `new_long_term` and `new_short_term`.

    Raises:
        InputError: ONNX is not installed, or a member is no LSTMForecaster.
    """
    for model in forecaster.models:
        if type(model) is not LSTMForecaster:
            raise InputError(
                f"only an LSTMForecaster can be exported, but got a {type(model).__name__}"
            )
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError:
        raise InputError(
            "an export needs the library onnx, which is not installed; "
            "pip install 'lstm-tuning[onnx]'"
        ) from None

    nodes: list[Any] = []
    constants: list[Any] = []

    def constant(name: str, values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def node(operator: str, inputs: list[str], outputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0]

    config, layers = forecaster.config, range(forecaster.config.num_layers)
    one_row = constant("one_row", [1, 1, -1])
    flat, front = constant("flat", [1, -1]), constant("front", [0])
    scale = "change_scale"
    if forecaster.is_one_series:
        constant(scale, forecaster.change_scales[:1].astype(np.float64))
    changes, memories = [], {"long_term": list[str](), "short_term": list[str]()}
    sequence = node("Reshape", ["inputs", one_row], ["sequence"])
    for number, model in enumerate(forecaster.models):
        member = f"m{number}"
        which = constant(f"{member}_number", number)
        own = {k: node("Gather", [k, which], [f"{member}_{k}"], axis=0) for k in memories}
        after = {k: list[str]() for k in memories}
        hidden = sequence
        for layer in layers:
            prefix = f"{member}_l{layer}"
            row = constant(f"{prefix}_number", [layer])
            before = {k: node("Gather", [own[k], row], [f"{prefix}_{k}"], axis=0) for k in own}
            weights = [
                constant(f"{prefix}_{name}", _stages_as_onnx(getattr(model.lstm, f"{name}{layer}")))
                for name in ("weight_ih_l", "weight_hh_l")
            ]
            biases = np.concatenate(
                [
                    _stages_as_onnx(getattr(model.lstm, f"{name}{layer}"))
                    for name in ("bias_ih_l", "bias_hh_l")
                ],
                axis=1,
            )
            bias = constant(f"{prefix}_bias", biases)
            # One row: the last memory (1, 1, H) of a layer is the next one's sequence as well.
            source, hidden, cell = hidden, f"{prefix}_new_short", f"{prefix}_new_long"
            node(
                "LSTM",
                [source, *weights, bias, "", before["short_term"], before["long_term"]],
                ["", hidden, cell],
                hidden_size=config.hidden_size,
            )
            after["short_term"].append(hidden)
            after["long_term"].append(cell)
        for kind, parts in after.items():
            stacked = node("Concat", parts, [f"{member}_after_{kind}"], axis=0)
            lifted = node("Unsqueeze", [stacked, front], [f"{member}_new_{kind}"])
            memories[kind].append(lifted)
        read = node("Reshape", [hidden, flat], [f"{member}_read"])
        head = [constant(f"{member}_head_weight", _values(model.head.weight))]
        head.append(constant(f"{member}_head_bias", _values(model.head.bias)))
        scaled = node("Gemm", [read, *head], [f"{member}_scaled"], transB=1)
        exact = node("Cast", [scaled], [f"{member}_exact"], to=TensorProto.DOUBLE)
        change = node("Mul", [exact, scale], [f"{member}_uncut"])
        changes.append(node("Max", [change, "lowest_change"], [f"{member}_change"]))
    for kind, members in memories.items():
        node("Concat", members, [f"new_{kind}"], axis=0)
    total = changes[0]
    for number, change in enumerate(changes[1:], start=1):
        total = node("Add", [total, change], [f"sum{number}"])
    node("Div", [total, constant("members", np.float64(len(changes)))], ["change"])

    memory = [len(changes), len(layers), 1, config.hidden_size]
    single, double = TensorProto.FLOAT, TensorProto.DOUBLE
    describe = helper.make_tensor_value_info
    scale_input = (
        [] if forecaster.is_one_series else [describe(scale, double, [1, forecaster.horizon])]
    )
    graph = helper.make_graph(
        nodes,
        "step",
        [
            describe("inputs", single, [1, len(forecaster.encoder.channels)]),
            *(describe(kind, single, memory) for kind in memories),
            describe("lowest_change", double, [1, 1]),
            *scale_input,
        ],
        [
            describe("change", double, [1, forecaster.horizon]),
            *(describe(f"new_{kind}", single, memory) for kind in memories),
        ],
        constants,
    )
    step = helper.make_model(
        graph,
        producer_name="lstm-tuning",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    checker.check_model(step)
    return bytes(step.SerializeToString())


def _values(tensor: Tensor) -> Any:
    return tensor.detach().cpu().numpy()


def _stages_as_onnx(tensor: Tensor) -> Any:
    """torch stacks input, forget, cell, output; ONNX input, output, forget, cell: (1, 4H, ...)."""
    input_, forget, cell, output = np.split(_values(tensor), 4)
    return np.concatenate([input_, output, forget, cell])[None]
