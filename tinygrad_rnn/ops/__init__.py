"""The rows under NumPy's names and signatures, on tensors, by the chain-rule case that they are.

This is what a rule sees as ``np`` when its own arithmetic is recorded; and what users call. Each function
only settles axes and shapes and applies its row. Functions with no rule of their own are in ``derived``.
"""

from . import addition, choice, composition, create, indexing, shapes, weighting
from .addition import *  # noqa: F403
from .addition import as_float as as_float
from .addition import narrow_sum as narrow_sum
from .addition import sum_to as sum_to
from .choice import *  # noqa: F403
from .composition import *  # noqa: F403
from .composition import det as det
from .composition import raise_to as raise_to
from .composition import solve as solve
from .create import *  # noqa: F403
from .create import identity_like as identity_like
from .indexing import *  # noqa: F403
from .indexing import check_range as check_range
from .indexing import getitem as getitem
from .indexing import indices_of as indices_of
from .indexing import lookup as lookup
from .indexing import nan_outside as nan_outside
from .indexing import pick as pick
from .indexing import scatter as scatter
from .indexing import scatter_along_axis as scatter_along_axis
from .indexing import scatter_take as scatter_take
from .operands import ArrayLike as ArrayLike
from .operands import Axis as Axis
from .operands import Index as Index
from .operands import Leaf as Leaf
from .operands import Nest as Nest
from .operands import Tensor as Tensor
from .operands import as_tensor as as_tensor
from .operands import as_tensors as as_tensors
from .operands import axes_of as axes_of
from .operands import axis_of as axis_of
from .operands import joint_shape as joint_shape
from .shapes import *  # noqa: F403
from .shapes import along as along
from .weighting import *  # noqa: F403

ROOMS = (addition, choice, composition, create, indexing, shapes, weighting)
"""Each lists in its ``__all__`` what users call; the other names are for rules."""
