"""Seeds made from others."""

import numpy as np


def mixed_seed(*parts: int) -> int:
    """One seed from several numbers, so that neighbouring ones have nothing in common."""
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
