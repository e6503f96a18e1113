"""Functions without a rule of their own: built from the rows, so their derivatives of every order follow.

elementwise   arithmetic, choices between values, activations
shapes        the same elements elsewhere
reductions    means, variances, products, softmax
quantiles     shares of sorted elements
products      sums of products
linalg        norms, inverses, powers of matrices
losses        what training makes small
"""

from ..tensor import Tensor
from . import elementwise, linalg, losses, products, quantiles, reductions, shapes

ROOMS = (elementwise, linalg, losses, products, quantiles, reductions, shapes)
"""Each lists in its ``__all__`` what users call."""

for _method in (
    elementwise.round,
    products.dot,
    reductions.cumprod,
    reductions.mean,
    reductions.prod,
    reductions.std,
    reductions.var,
    shapes.diagonal,
    shapes.repeat,
    shapes.trace,
):
    setattr(Tensor, _method.__name__, _method)
