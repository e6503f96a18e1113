"""Values, slopes and curvatures to the last places."""

from __future__ import annotations

import math

import numpy as np

import tinygrad_rnn as tg

INF, NAN = math.inf, math.nan


def value_slope_curvature(f, x):
    """f, f′ and f″ of each element of a float64 array."""
    x = tg.tensor(np.asarray(x, np.float64), requires_grad=True)
    y = f(x)
    slope = tg.gradients(y.sum(), x, create_graph=True)
    curvature = tg.gradients(slope.sum(), x) if slope.requires_grad else tg.zeros_like(x)
    return y.numpy(), slope.numpy(), curvature.numpy()


def is_exactly(f, x, value, slope, curvature, rtol=1e-14):
    for found, expected in zip(value_slope_curvature(f, x), (value, slope, curvature), strict=True):
        np.testing.assert_allclose(
            found, np.broadcast_to(np.asarray(expected, float), found.shape), rtol=rtol, atol=1e-300
        )
