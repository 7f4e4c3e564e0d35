"""How each model looks: the same in every figure."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from matplotlib.colors import to_hex, to_rgb

from lstm_model.evaluation.baselines import BASELINES, Style

# Okabe and Ito's colours, told apart with any colour vision. An LSTM has one of them strong; the
# ridge regression on the same inputs has it paler, LightGBM darker: where hue doesn't tell them
# apart, lightness does.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
BASELINE_STYLES = {b.name: b.style for b in BASELINES if b.per_features}
BASELINE_STYLES["lightgbm"] = Style("black", "-.", 1.2, "^")
# Of many series: one ridge of all, darker than one for each, and an LSTM for each.
BASELINE_STYLES["pooled_ridge"] = replace(BASELINE_STYLES["pooled_ridge"], colour="#606060")
BASELINE_STYLES["each_on_its_own"] = Style("#FFC400", ":", 1.6, "X")
REFERENCE_STYLES = {b.name: b.style for b in BASELINES if not b.per_features}


def assign_styles(models: Iterable[str]) -> dict[str, Style]:
    """One style a model: the same in every figure that is given the styles of all models.

    The inputs that a model reads give its hue, and `multivariate` and `univariate` come first, so
    that with them alone figures of different models agree without being given any styles.
    """
    split = {model: _split(model) for model in models if model not in REFERENCE_STYLES}
    inputs = list(dict.fromkeys(["multivariate", "univariate", *(of for _, of in split.values())]))
    styles = dict(REFERENCE_STYLES)
    for model, (baseline, of) in split.items():
        styles[model] = Style(PALETTE[inputs.index(of) % len(PALETTE)])
        if baseline:
            own, strong = BASELINE_STYLES[baseline], styles[model].colour
            mixed = 0.55 * np.array(to_rgb(strong)) + 0.45 * np.array(to_rgb(own.colour))
            styles[model] = replace(own, colour=to_hex((mixed[0], mixed[1], mixed[2])))
    return styles


def label(model: str) -> str:
    """A model's name to be read: `ridge multivariate`; an LSTM has the name of its study."""
    is_baseline = model in REFERENCE_STYLES or _split(model)[0]
    return model.replace("_", " ") if is_baseline else model


def _split(model: str) -> tuple[str, str]:
    """("ridge", "multivariate") of ridge_multivariate; ("", name) of an LSTM."""
    for baseline in BASELINE_STYLES:
        inputs = model.removeprefix(f"{baseline}_")
        if inputs and inputs != model:
            return baseline, inputs
    return "", model
