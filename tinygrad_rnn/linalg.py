"""Linear algebra under NumPy's names."""

from .derived.linalg import inv, matrix_power, norm
from .ops import det, solve

__all__ = ["det", "inv", "matrix_power", "norm", "solve"]


def __dir__() -> list[str]:
    return __all__
