"""Arrays by what they hold. Shapes use these letters: B batch, T rows of time, F input channels,
H hidden units, L lead times, N series, S seeds."""

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.datetime64]
IntArray = npt.NDArray[np.int64]
