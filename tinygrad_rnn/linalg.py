"""Linear algebra under NumPy's names."""

from .derived import inv, norm
from .ops import det, solve

__all__ = ["det", "inv", "norm", "solve"]
