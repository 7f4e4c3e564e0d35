"""What training learned of one series, as JSON: its scales beside what all series share."""

from dataclasses import replace
from typing import Any

from lstm_model.arrays import Float64Array
from lstm_model.data.encoding import FeatureEncoder


def series_to_json(
    encoder: FeatureEncoder, change_scale: Float64Array, never_negative: bool
) -> dict[str, Any]:
    """The numbers of a series, channel by channel in the order of the encoding of others."""
    return {
        "numeric": [[c.mean, c.scale, c.min, c.max] for c in encoder.numeric],
        "past": [[channel.mean, channel.scale] for channel in encoder.past],
        "change_scale": change_scale.tolist(),
        "never_negative": never_negative,
    }


def encoder_from_json(saved: dict[str, Any], of_others: FeatureEncoder) -> FeatureEncoder:
    """The encoder of which series_to_json() gave the numbers; raises ValueError where they are
    not as many as there are channels.
    """
    return replace(
        of_others,
        numeric=tuple(
            replace(channel, mean=mean, scale=scale, min=low, max=high)
            for channel, (mean, scale, low, high) in zip(
                of_others.numeric, saved["numeric"], strict=True
            )
        ),
        past=tuple(
            replace(channel, mean=mean, scale=scale)
            for channel, (mean, scale) in zip(of_others.past, saved["past"], strict=True)
        ),
    )
