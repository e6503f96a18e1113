"""What is saved: every dtype, order and size that there is."""

from __future__ import annotations

import numpy as np

ARRAYS = {
    "single": np.arange(6, dtype=np.float32).reshape(2, 3),
    "double": np.linspace(0, 1, 5),
    "half": np.ones((2, 1), np.float16),
    "number": np.array(3, np.int64),
    "truth": np.array([True, False]),
    "nothing": np.zeros((0, 4), np.float32),
    "columns": np.arange(12, dtype=np.float32).reshape(3, 4).T,
    "every other": np.arange(10)[::2],
}
