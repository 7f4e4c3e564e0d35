import numpy as np
import pytest

from lstm_model.figures.errors import (
    plot_error_by_lead_time,
    plot_error_by_level,
)
from lstm_model.figures.forecasts import plot_episode
from lstm_model.figures.style import assign_styles, label
from tests.lstm_model.figures.contents import MODELS, TIMES


def test_a_model_has_one_colour_in_every_figure() -> None:
    colours = {name: assign_styles(MODELS)[name].colour for name in MODELS}
    assert len(set(colours.values())) == len(MODELS)
    assert {name: assign_styles([name])[name].colour for name in MODELS} == colours
    bars = plot_error_by_level(["x"], [1], {"univariate": [1.0]}, quantity="x")
    line = plot_error_by_lead_time({"univariate": [1, 2]}, [1, 2], quantity="x")
    assert line.axes[0].lines[0].get_color() == colours["univariate"]
    assert bars.axes[0].patches[0].get_facecolor()[:3] == pytest.approx(
        tuple(int(colours["univariate"][at : at + 2], 16) / 255 for at in (1, 3, 5))
    )


def test_styles_keep_colours_of_any_study() -> None:
    looks = assign_styles(["first", "second", "persistence", "ridge_second"])
    assert looks["first"].colour != looks["second"].colour
    assert looks["first"].dash == "-" != looks["ridge_second"].dash
    figure = plot_episode(
        TIMES, np.ones(48), {"second": np.ones(48)}, lead_time="1 h", quantity="x", styles=looks
    )
    assert figure.axes[0].lines[1].get_color() == looks["second"].colour


def test_rivals_of_many_series_have_their_models_hue_and_a_look_of_their_own() -> None:
    rivals = [f"{name}_sites" for name in ("ridge", "pooled_ridge", "lightgbm", "each_on_its_own")]
    looks = assign_styles(["sites", *rivals])
    assert len({look.colour for name, look in looks.items() if name.endswith("sites")}) == 5
    assert len({looks[name].marker for name in rivals}) == 4
    # They are none of the models that have a hue for themselves.
    assert (
        assign_styles(["sites", *rivals, "other"])["other"]
        == assign_styles(["sites", "other"])["other"]
    )
    assert label("each_on_its_own_my_sites") == "each on its own my sites"
    assert label("my_sites") == "my_sites"
