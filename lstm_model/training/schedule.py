"""The learning rate over a training."""

import math

from lstm_model.configuration import Configuration

# The learning rate starts and ends at this fraction of its peak.
MIN_LR_FRACTION = 0.02


def learning_rate_at(progress: float, config: Configuration) -> float:
    """The rate after a fraction `progress` of the schedule: a cosine up, then a cosine down.

    It depends on `max_epochs` through that fraction alone, never on how long a scheduler lets the
    trial live (Smith and Topin 2018, "Super-convergence", arXiv:1708.07120).
    """
    if progress < config.warm_up:
        height = (1 - math.cos(math.pi * progress / config.warm_up)) / 2
    else:
        height = (1 + math.cos(math.pi * (progress - config.warm_up) / (1 - config.warm_up))) / 2
    return config.learning_rate * (MIN_LR_FRACTION + (1 - MIN_LR_FRACTION) * height)
