"""Forecasts of many series by one model: known ones, new ones, and what is told of them."""

import doctest
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import lstm_model
from lstm_model.arrays import Float64Array
from lstm_model.data.encoding import SeriesEncoders
from lstm_model.errors import InputError, TableError
from lstm_model.inference import forecasts as forecasts_module
from lstm_model.inference.origins import Origins
from lstm_model.inference.predictor import TrainedForecaster
from lstm_model.inference.table_checks import LeftOutWarning, NewSeriesWarning, OutOfRangeWarning
from lstm_model.inference.warm_start import WarmUpProbe
from lstm_model.model.forecaster import LSTMForecaster
from lstm_model.training.evaluator import MAX_SEGMENTS
from tests.lstm_model.shops import FIT, LEVELS, shop, shops, train_shops

NEW = "ignore::lstm_model.inference.table_checks.NewSeriesWarning"
pytestmark = pytest.mark.filterwarnings(NEW)


@pytest.fixture(scope="module")
def model() -> TrainedForecaster:
    return train_shops()


@pytest.fixture(scope="module")
def with_neighbours() -> TrainedForecaster:
    return train_shops(neighbours=True)


def of(table: pd.DataFrame, name: str) -> Any:
    return table["shop"] == name


def test_docstring_examples() -> None:
    names = {"pd": pd, "np": np, **vars(forecasts_module)}
    for found in (TrainedForecaster.forecast, forecasts_module.Forecasts):
        for test in doctest.DocTestFinder(recurse=False).find(found, "found", globs=names):
            assert len(test.examples) > 4
            assert doctest.DocTestRunner().run(test).failed == 0


def test_each_series_is_forecast_as_it_is_alone(model: TrainedForecaster) -> None:
    """A known one and a new one: what stands beside them does not count."""
    table = shops(big=400, small=4, new=37)
    found = model.forecast(table)
    assert found.index.names == ("big", "new", "small")
    for name, own in found.by_series.items():
        alone = model.forecast(table[of(table, name)])
        assert alone.index.names == (name,)
        np.testing.assert_allclose(own.point, alone.point, rtol=1e-5)
        assert own.origins.equals(alone.origins)
        for claim, bounds in alone.bounds.items():
            np.testing.assert_allclose(own.bounds[claim], bounds, rtol=1e-4)
    # They count alike: in units of its level each is forecast about as well.
    errors = {}
    for name, level in (LEVELS | {"new": 37.0}).items():
        own = found.by_series[name]
        came = table[of(table, name)]["sold"].reindex(own.origins).to_numpy()
        errors[name] = np.nanmean(np.abs(own.point[:-1, 0] - came[1:])) / level
    assert max(errors.values()) < 1.5 * min(errors.values())


def test_no_series_moves_another(model: TrainedForecaster) -> None:
    table = shops(big=400, small=4, new=37)
    other = table.copy()
    other.loc[of(table, "big"), ["sold", "price"]] *= 1.1
    other.loc[of(table, "new"), ["sold", "price"]] *= 1.1
    before, after = model.forecast(table), model.forecast(other)
    for name in ("big", "new"):
        assert (before.by_series[name].point != after.by_series[name].point).all()
    np.testing.assert_array_equal(before.by_series["small"].point, after.by_series["small"].point)


@pytest.mark.filterwarnings("ignore::lstm_model.inference.table_checks.OutOfRangeWarning")
def test_no_later_row_moves_an_earlier_forecast(with_neighbours: TrainedForecaster) -> None:
    """With neighbours, static columns and a new series, whose scales are those so far."""
    table = shops(big=400, small=4, new=37)
    later = table.copy()
    cut = table.index[500]
    late = table.index > cut
    later.loc[late, ["sold", "price"]] *= 1.3
    later.loc[late & of(table, "new"), "sky"] = "cloudy"
    before, after = with_neighbours.forecast(table), with_neighbours.forecast(later)
    for name, own in before.by_series.items():
        early = own.origins <= cut
        assert 0 < early.sum() < len(early)
        moved = after.by_series[name]
        np.testing.assert_array_equal(own.point[early], moved.point[early])
        for claim, (low, high) in own.bounds.items():
            np.testing.assert_array_equal(low[early], moved.bounds[claim][0][early])
            np.testing.assert_array_equal(high[early], moved.bounds[claim][1][early])
        assert (own.point[~early] != moved.point[~early]).any()


def test_neighbours_past_is_read(with_neighbours: TrainedForecaster) -> None:
    table = shops()
    other = table.copy()
    other.loc[of(table, "big"), "sold"] *= 1.1
    before, after = (
        with_neighbours.forecast(each).by_series["small"].point for each in (table, other)
    )
    assert (before != after).any()
    assert with_neighbours.reads_neighbours
    assert "neighbours" in with_neighbours.encoder.channels
    assert "neighbours" not in with_neighbours.kinds


def test_missing_neighbours_are_warned_of(with_neighbours: TrainedForecaster) -> None:
    table = shops()
    with pytest.warns(LeftOutWarning, match=r"without 1 series of the training, .* not: big; f"):
        with_neighbours.forecast(table[of(table, "small")])


def test_a_new_series_is_scaled_by_its_own_rows_so_far(model: TrainedForecaster) -> None:
    """Held against sums by hand, with a head that gives 1 whatever it reads."""
    table = shop("new", 37.0)
    one = LSTMForecaster.seeded(len(model.encoder.channels), model.config, 2, seed=0)
    torch.nn.init.zeros_(one.head.weight)
    torch.nn.init.ones_(one.head.bias)
    constant = replace(model, models=(one,))
    found = constant.forecast(table)
    first = len(table) - len(found.origins)
    last = table["sold"].ffill().to_numpy()
    sold = table["sold"].to_numpy()
    for row in (first, 300, 799):
        for lead in (1, 2):
            known = [sold[at] - last[at - lead] for at in range(lead, row + 1)]
            scale = np.sqrt(np.nanmean(np.square(known)))
            expected = max(0.0, last[row] + scale)
            assert found.point[row - first, lead - 1] == pytest.approx(expected, rel=1e-6)
    inputs = model.encoders.of_others.transform(table)
    price = model.encoder.channels.index("price")
    so_far = table["price"].to_numpy()[:301]
    standard = (so_far[-1] - so_far.mean()) / so_far.std()
    assert inputs[300, price] == pytest.approx(standard, rel=1e-5)


def test_it_comes_back_as_it_was(model: TrainedForecaster, tmp_path: Path) -> None:
    table = shops(big=400, small=4, new=37)
    model.save(tmp_path / "best")
    loaded = lstm_model.load(tmp_path / "best")
    before, after = model.forecast(table), loaded.forecast(table)
    pd.testing.assert_frame_equal(before.table(), after.table(), check_exact=True)
    assert loaded.encoders == model.encoders
    assert (loaded.names, loaded.never_negative) == (("big", "small"), (True, True))
    assert loaded.reading == model.reading
    assert loaded.static == ("area", "town")
    assert model.validation_score is not None
    assert loaded.validation_score is not None
    assert loaded.validation_score.objective == model.validation_score.objective
    text = (tmp_path / "best" / "model.json").read_text()
    saved = json.loads(text)
    assert (saved["format"], saved["change_scale"]) == (5, None)
    big = saved["series"]["big"]
    prices = table[of(table, "big") & (table.index < FIT["validation_from"])]["price"]
    columns = [channel["column"] for channel in saved["encoding"]["numeric"]]
    assert big["numeric"][columns.index("price")] == pytest.approx(
        [prices.mean(), prices.std(ddof=0), prices.min(), prices.max()]
    )
    assert len([line for line in text.splitlines() if line.startswith('  "big": {')]) == 1
    assert "NaN" not in text


def test_a_spoilt_block_of_series_is_refused(model: TrainedForecaster, tmp_path: Path) -> None:
    model.save(tmp_path / "best")
    file = tmp_path / "best" / "model.json"
    whole = json.loads(file.read_text())
    del whole["settings_sha256"]
    damaged: list[dict[str, Any]] = [
        {},
        {"big": {}},
        {"big": whole["series"]["big"] | {"numeric": []}},
        {"big": whole["series"]["big"] | {"change_scale": [1.0]}},
    ]
    for series in damaged:
        file.write_text(json.dumps(whole | {"series": series}))
        with pytest.raises(InputError, match="holds no forecaster that can be used"):
            lstm_model.load(tmp_path / "best")


def test_intervals_of_their_own_or_pooled(model: TrainedForecaster) -> None:
    """Beside two long series one with a short validation."""
    table = pd.concat([shops(), shop("late", 40.0).iloc[:500]])
    fitted = train_shops(table)
    assert sorted(fitted.intervals_by_series) == ["big", "small"]
    found = fitted.forecast(pd.concat([table, shop("new", 37.0)]))
    assert (found.pooled, found.new) == (("late",), ("new",))
    assert found.by_series["late"].pooled == ("late",)
    assert found.every_nth_origin(24).by_series["new"].new == ("new",)
    for name, level in (("late", 40.0), ("new", 37.0), ("big", 400.0)):
        low, high = found.by_series[name].bounds[0.8]
        width = np.mean(high - low) / level
        assert 0.1 < width < 1, "in the series' own unit"
    assert model.forecast(shops()).pooled == model.forecast(shops()).new == ()


def test_new_series_are_warned_of(model: TrainedForecaster) -> None:
    """Those that are left out are not among them."""
    table = pd.concat([shops(), *(shop(f"n{at}", 9.0) for at in range(6))])
    with pytest.warns(LeftOutWarning), pytest.warns(NewSeriesWarning) as told:
        found = model.forecast(pd.concat([table, shop("dark", 9.0).assign(sold=np.nan)]))
    assert found.new == ("n0", "n1", "n2", "n3", "n4", "n5")
    (warning,) = [each for each in told if each.category is NewSeriesWarning]
    assert str(warning.message) == (
        "6 of 8 series are new: each is scaled by its own rows so far (n0, n1, n2, n3, n4, ...)"
    )
    with pytest.warns(NewSeriesWarning, match=r"1 of 1 series is new: .* so far \(n0\)$"):
        model.forecast(shop("n0", 9.0))


def test_static_columns_may_be_empty(model: TrainedForecaster) -> None:
    empty = shops().assign(area=np.nan, town=None)
    assert np.isfinite(model.forecast(empty).point).all()


def test_short_and_unobserved_series_are_left_out(model: TrainedForecaster) -> None:
    few = model.rows_needed - 1
    table = pd.concat(
        [shops(), shop("young", 9.0).iloc[:few], shop("dark", 9.0).assign(sold=np.nan)]
    )
    told = rf"2 of 4 series .* dark \(sold was never observed\), young \(too short: {few} rows"
    with pytest.warns(LeftOutWarning, match=told):
        found = model.forecast(table)
    assert found.index.names == ("big", "small")
    assert list(found.left_out) == ["dark", "young"]
    pd.testing.assert_frame_equal(found.table(), model.forecast(shops()).table())


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda t: t.groupby("shop").head(3), r"a series must have \d+ rows or more, .* one has 3"),
        (lambda t: t.iloc[:0], r"must have \d+ rows or more, .* has 0"),
        (lambda t: t.assign(sold=np.nan), "sold must have been observed in at least one row"),
        (lambda t: t.drop(columns="shop"), r"trained on \(.*shop\), but shop is missing"),
        (lambda t: t.drop(columns="area"), "but area is missing"),
        (
            lambda t: t.assign(sky=t["sky"].mask(np.arange(len(t)) == 803, "red")),
            "sky must be one of clear, cloudy, .* 'red' at 2020-01-01 03:00:00 of small; leave",
        ),
    ],
)
def test_what_none_of_them_allows_is_refused(
    model: TrainedForecaster, spoil: Any, told: str
) -> None:
    with pytest.raises(TableError, match=told):
        model.forecast(spoil(shops()))


def test_static_categories_may_be_new(model: TrainedForecaster) -> None:
    table = shop("new", 37.0)
    other = model.forecast(table.assign(town="elsewhere"))
    inputs = model.encoders.of_others.transform(table.assign(town="elsewhere"))
    towns = [at for at, name in enumerate(model.encoder.channels) if name.startswith("town=")]
    assert len(towns) == 2
    assert (inputs[:, towns] == 0).all()
    assert np.isfinite(other.point).all()
    assert (other.point != model.forecast(table).point).any()


def test_values_far_outside_name_the_series(model: TrainedForecaster) -> None:
    """Each in its own range: what is little for one is far outside for another."""
    table = shops(big=400, small=4, new=37)
    odd = table.copy()
    odd.loc[of(table, "small"), "sold"] *= 20
    with pytest.warns(OutOfRangeWarning, match=r"sold was .* in 7\d\d rows of small, the"):
        model.forecast(odd)
    with pytest.warns(OutOfRangeWarning, match="of big, .* the same holds of new, small, each"):
        model.forecast(table.assign(price=table["price"] + 300))


def test_all_series_go_through_the_model_together(
    model: TrainedForecaster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """60 series of 800 rows are 120 segments, as many at a time as run side by side."""
    passes = []
    forward = LSTMForecaster.forward

    def counted(self: LSTMForecaster, inputs: torch.Tensor, *rest: Any, **named: Any) -> Any:
        passes.append(len(inputs))
        return forward(self, inputs, *rest, **named)

    monkeypatch.setattr(LSTMForecaster, "forward", counted)
    part = shop("one", 37.0)
    found = model.forecast(pd.concat([part.assign(shop=f"n{at}") for at in range(60)]))
    assert len(found.index) == 60
    assert sum(passes) == 120
    assert len(passes) == -(-120 // MAX_SEGMENTS)


def test_one_series_with_a_name_is_one_without(tmp_path: Path) -> None:
    table = shop("only", 37.0)
    plain = train_shops(table, series=None, static=[], features=["sold", "price", "sky"])
    named = train_shops(table, static=[], features=["sold", "price", "sky"])
    assert (plain.names, named.names) == (("",), ("only",))
    first, second = plain.forecast(table), named.forecast(table)
    np.testing.assert_array_equal(first.point, second.point)
    for claim, bounds in first.bounds.items():
        np.testing.assert_array_equal(bounds, second.bounds[claim])
    assert second.table().columns[0] == "series"
    assert first.table().columns[0] == "origin"
    plain.save(tmp_path / "plain")
    saved = json.loads((tmp_path / "plain" / "model.json").read_text())
    assert not {"series", "static", "neighbours"} & (set(saved) | set(saved["reading"]))


def test_a_wide_table() -> None:
    """Columns that are a series each; a later table may lack some."""
    parts = {name: shop(name, level) for name, level in LEVELS.items()}
    wide = pd.DataFrame({name: part["sold"] for name, part in parts.items()})
    wide["price"] = parts["big"]["price"]
    settings = {key: FIT[key] for key in FIT if key not in ("target", "series", "static")}
    model = lstm_model.fit(
        wide, targets=list(LEVELS), features=["value", "price"], neighbours=True, **settings
    )
    assert (model.names, model.target) == (("big", "small"), "value")
    found = model.forecast(wide)
    assert found.index.names == ("big", "small")
    with pytest.warns(LeftOutWarning, match="not: big"):
        alone = model.forecast(wide.drop(columns="big"))
    assert alone.index.names == ("small",)


def test_series_that_training_cant_use_are_told() -> None:
    table = pd.concat([shops(), shop("late", 9.0).iloc[600:], shop("flat", 5.0).assign(sold=5.0)])
    with pytest.warns(LeftOutWarning) as told:
        model = train_shops(table)
    assert model.names == ("big", "small")
    first, second = sorted(str(each.message) for each in told if each.category is LeftOutWarning)
    assert first.startswith("training does not learn from 2 series: flat (it never changes before")
    assert "late (it has 0 forecasts" in first
    assert second.startswith("validation does not score 1 series: flat (")
    assert model.forecast(table).index.names == ("big", "flat", "late", "small")


def test_bounds_are_unknown_where_no_change_is_known(model: TrainedForecaster) -> None:
    flat = shop("flat", 5.0).assign(sold=5.0)
    found = model.forecast(flat)
    assert (found.point == 5).all()
    for bounds in found.bounds.values():
        assert np.isnan(bounds).all()


def test_probe_reads_the_series_that_was_observed_most(monkeypatch: pytest.MonkeyPatch) -> None:
    table = shops(big=400, small=4).iloc[100:]  # of the first one 100 rows less
    read: list[Any] = []
    monkeypatch.setattr(
        WarmUpProbe,
        "__init__",
        lambda self, frame, encoder, target: read.append((frame, encoder)),
    )
    monkeypatch.setattr(WarmUpProbe, "rows_needed", lambda self, models: 3)
    model = train_shops(table)
    [(frame, encoder)] = read
    rows = table[of(table, "small") & (table.index < FIT["test_from"])]
    np.testing.assert_array_equal(frame["sold"], rows["sold"])
    assert encoder == model.encoder_of("small")


def test_origins_are_those_of_each_series(model: TrainedForecaster) -> None:
    """Each from its rows_needed-th row on, or its first observed target."""
    late = shop("late", 9.0)
    late.loc[late.index[:400], "sold"] = np.nan
    table = model.read_table(pd.concat([shops(), late]))
    origins = Origins(model, table)
    needed = model.rows_needed
    assert origins.index.names == ("big", "late", "small")
    first_sold = int(late["sold"].notna().to_numpy().argmax())
    counts = [800 - needed + 1, 800 - first_sold, 800 - needed + 1]
    assert np.diff(origins.index.bounds).tolist() == counts
    starts = [origins.times[bound] for bound in origins.index.bounds[:-1]]
    assert starts == [late.index[needed - 1], late.index[first_sold], late.index[needed - 1]]


def test_every_nth_origin_is_of_each_series(model: TrainedForecaster) -> None:
    table = shops(big=400, small=4)
    some = model.forecast(table.iloc[:-5]).every_nth_origin(24)
    last = {name: own.origins[-1] for name, own in some.by_series.items()}
    assert last == {"big": table.index[-1], "small": table.index[-6]}
    for own in some.by_series.values():
        assert (np.diff(own.origins) == np.timedelta64(24, "h")).all()
    written = some.table()
    assert written.columns[:2].tolist() == ["series", "origin"]
    expected: Float64Array = np.concatenate([own.point.ravel() for own in some.by_series.values()])
    np.testing.assert_array_equal(written["forecast"], expected)


def test_members_have_their_series_in_common(model: TrainedForecaster) -> None:
    both = TrainedForecaster.ensemble([model, train_shops(seed=1)])
    assert isinstance(both.encoders, SeriesEncoders)
    assert (both.intervals, both.intervals_by_series) == (None, {})
    table = shops()
    each = [replace(both, models=(member,)).forecast(table).point for member in both.models]
    np.testing.assert_allclose(both.forecast(table).point, np.mean(each, axis=0), rtol=1e-12)
    assert both.forecast(table).bounds == {}


def test_a_frame_with_two_levels_is_told_what_to_do() -> None:
    twice = shops().set_index("shop", append=True)
    with pytest.raises(TableError, match=r"has the levels time, shop; .*reset_index"):
        train_shops(twice)
