"""Operands for each row, and its parameters: several shapes, broadcasting, axes of length 1, numbers and
nothing at all."""

from __future__ import annotations

from typing import Any

import numpy as np

_random = np.random.default_rng(20)


def real(*shape: int, low: float = -2.0, high: float = 2.0) -> np.ndarray:
    return _random.uniform(low, high, shape)


def apart(*shape: int) -> np.ndarray:
    """All elements at least 0.1 from each other and from 0: no tie and no kink is near."""
    n = int(np.prod(shape))
    return (_random.permutation(n) - n / 2 + 0.25).reshape(shape) * 0.3


def well_conditioned(*shape: int) -> np.ndarray:
    return real(*shape, low=-1, high=1) + 3 * np.eye(shape[-1])


def _elementwise(low: float = -2.0, high: float = 2.0) -> list[tuple[Any, ...]]:
    return [((real(*shape, low=low, high=high),), ()) for shape in [(3, 4), (1, 3), (), (0, 2)]]


def _pairs(make: Any = real) -> list[tuple[Any, ...]]:
    shapes = [((3, 4), (3, 4)), ((2, 1, 3), (4, 1)), ((), (2, 3)), ((1,), (5,)), ((0, 3), (1, 3))]
    return [((make(*a), make(*b)), ()) for a, b in shapes]


def _apart_pairs() -> list[tuple[Any, ...]]:
    return [((x[0], x[1] + 0.123), ()) for x, _ in _pairs(apart)]


def _reductions() -> list[tuple[Any, ...]]:
    return [
        ((apart(3, 4),), ((0, 1), False)),
        ((apart(3, 4),), ((1,), True)),
        ((apart(2, 3, 4),), ((0, 2), False)),
        ((apart(2, 1, 3),), ((1,), False)),
        ((apart(3, 2),), ((), False)),
        ((apart(),), ((), False)),
        ((apart(0, 3),), ((1,), False)),
    ]


_index = np.array([2, 0, 2])
_mask = np.array([True, False, True])
_along = np.array([[2, 0], [1, 1], [0, 0]])

SAMPLES: dict[str, list[tuple[tuple[Any, ...], tuple[Any, ...]]]] = {
    # composition
    "exp": _elementwise(),
    "exp2": _elementwise(),
    "expm1": _elementwise(),
    "log": _elementwise(0.3, 3),
    "log2": _elementwise(0.3, 3),
    "log10": _elementwise(0.3, 3),
    "log1p": _elementwise(-0.7, 3),
    "sqrt": _elementwise(0.3, 3),
    "cbrt": [*_elementwise(0.3, 3), *_elementwise(-3, -0.3)],
    "reciprocal": [*_elementwise(0.3, 3), *_elementwise(-3, -0.3)],
    "tanh": _elementwise(),
    "sigmoid": _elementwise(),
    "softplus": _elementwise(),
    "relu": [((apart(3, 4),), ()), ((apart(1, 3),), ()), ((apart(),), ()), ((apart(0, 2),), ())],
    "abs": [((apart(3, 4),), ()), ((apart(1, 3),), ()), ((apart(),), ()), ((apart(0, 2),), ())],
    "erf": _elementwise(),
    "sin": _elementwise(),
    "cos": _elementwise(),
    "tan": _elementwise(-1.2, 1.2),
    "arcsin": _elementwise(-0.8, 0.8),
    "arccos": _elementwise(-0.8, 0.8),
    "arctan": _elementwise(),
    "sinh": _elementwise(),
    "cosh": _elementwise(),
    "arcsinh": _elementwise(),
    "arccosh": _elementwise(1.3, 3),
    "arctanh": _elementwise(-0.8, 0.8),
    **{name: [((x[0], np.abs(x[1]) + 0.7), ()) for x, _ in _pairs()] for name in ("mod", "fmod")},
    "power": [((np.abs(x[0]) + 0.5, x[1]), ()) for x, _ in _pairs()],
    "raise_to": [((real(3, 4, low=0.5, high=2),), (n,)) for n in (3, 2, 1, 0, -1, -2, 0.5, -1.5, 2.0)]
    + [((real(3, 4),), (n,)) for n in (3, 2, 1, 0)]
    + [((real(0, 2),), (3,)), ((real(),), (3,))],
    "arctan2": _pairs(),
    "hypot": _pairs(),
    "logaddexp": _pairs(),
    "solve": [
        ((well_conditioned(3, 3), real(3, 2)), ()),
        ((well_conditioned(2, 3, 3), real(2, 3, 1)), ()),
        ((well_conditioned(1, 1), real(1, 1)), ()),
        ((well_conditioned(0, 2, 2), real(0, 2, 2)), ()),
    ],
    "det": [((well_conditioned(*shape),), ()) for shape in [(3, 3), (2, 3, 3), (1, 1), (0, 2, 2)]],
    # addition: sums
    "add": _pairs(),
    "subtract": _pairs(),
    "negative": _elementwise(),
    "astype": [((real(3, 4),), (np.dtype("float64"),))],
    "sum": _reductions(),
    "cumsum": [((real(3, 4),), (0,)), ((real(3, 4),), (1,)), ((real(1, 3),), (0,)), ((real(0, 3),), (0,))],
    "broadcast_to": [
        ((real(3, 1),), ((2, 3, 4),)),
        ((real(),), ((2, 3),)),
        ((real(3),), ((3,),)),
        ((real(1, 3),), ((0, 3),)),
    ],
    "sum_to": [
        ((real(2, 3, 4),), ((3, 1),)),
        ((real(2, 3),), ((),)),
        ((real(3),), ((3,),)),
        ((real(0, 3),), ((1, 3),)),
    ],
    # addition: shapes
    "reshape": [
        ((real(2, 6),), ((3, 4),)),
        ((real(1),), ((),)),
        ((real(),), ((1, 1),)),
        ((real(0, 3),), ((3, 0),)),
    ],
    "transpose": [
        ((real(2, 3, 4),), ((2, 0, 1),)),
        ((real(2, 3, 4),), ((1, 2, 0),)),
        ((real(),), ((),)),
        ((real(0, 3),), ((1, 0),)),
    ],
    "flip": [
        ((real(2, 3),), ((0,),)),
        ((real(2, 3),), ((0, 1),)),
        ((real(2, 3),), ((),)),
        ((real(0, 3),), ((0,),)),
    ],
    "roll": [
        ((real(3, 4),), ((1,), (0,))),
        ((real(3, 4),), ((-2, 5), (0, 1))),
        ((real(3, 4),), ((1, 1), (1, 1))),
        ((real(0, 3),), ((1,), (0,))),
    ],
    "pad": [
        ((real(2, 3),), (((1, 2), (0, 3)),)),
        ((real(2, 3),), (((0, 0), (0, 0)),)),
        ((real(0, 2),), (((1, 1), (2, 0)),)),
    ],
    "tril": [((real(3, 4),), (0,)), ((real(2, 4, 3),), (-1,)), ((real(3, 3),), (1,)), ((real(0, 3),), (0,))],
    "triu": [((real(3, 4),), (0,)), ((real(2, 4, 3),), (-1,)), ((real(3, 3),), (1,)), ((real(0, 3),), (0,))],
    # addition: joining and splitting
    "concatenate": [
        ((real(2, 3), real(1, 3), real(4, 3)), (0,)),
        ((real(2, 3), real(2, 0)), (1,)),
        ((real(3),), (0,)),
        ((real(2, 2, 1), real(2, 2, 2)), (2,)),
    ],
    "split": [
        ((real(6, 2),), ((2, 5), 0)),
        ((real(2, 4),), ((1,), 1)),
        ((real(3),), ((0, 3), 0)),
        ((real(3),), ((), 0)),
        ((real(0, 2),), ((0,), 0)),
    ],
    "stack": [
        ((real(2, 3), real(2, 3)), (0,)),
        ((real(2, 3), real(2, 3), real(2, 3)), (2,)),
        ((real(), real()), (0,)),
        ((real(0), real(0)), (1,)),
    ],
    "unstack": [((real(2, 3),), (0,)), ((real(2, 3, 1),), (2,)), ((real(3),), (0,)), ((real(2, 0),), (0,))],
    # addition: indexing
    "getitem": [
        ((real(5, 4),), (index,))
        for index in [
            1,
            -1,
            slice(1, 4),
            slice(None, None, 2),
            slice(None, None, -2),
            (slice(None), 2),
            (..., 1),
            (None, slice(2), None),
            _index,
            (_index, np.array([0, 3, 0])),
            (slice(1, 3), _index),
            (_index[:, None], np.array([1, 1])),
            np.array([True, False, True, True, False]),
            (..., np.array([True, False, False, True])),
            (2, np.array([0, 0])),
            (slice(0, 0),),
            np.array([], dtype=int),
            (),
        ]
    ],
    "scatter": [
        ((real(3, 2),), (slice(1, 4), (5, 2))),
        ((real(3),), (_index, (4,))),
        ((real(3, 2),), (_index, (4, 2))),
        ((real(2),), (_mask, (3,))),
        ((real(),), (1, (3,))),
        ((real(2, 3),), ((slice(None), _index), (2, 4))),
    ],
    "take": [
        ((real(3, 4), _index), (0,)),
        ((real(2, 3), _index), (1,)),
        ((real(3, 2), np.array([[0, 1], [1, 1]])), (0,)),
        ((real(3), np.array(2)), (0,)),
    ],
    "scatter_take": [
        ((real(3, 4), _index), (0, (3, 4))),
        ((real(2, 3), _index), (1, (2, 5))),
        ((real(2, 2, 2), np.array([[0, 1], [1, 1]])), (0, (3, 2))),
    ],
    "take_along_axis": [
        ((real(3, 3), _along), (1,)),
        ((real(3, 2), _along), (0,)),
        ((real(4), _index), (0,)),
    ],
    "scatter_along_axis": [
        ((real(3, 2), _along), (1, (3, 3))),
        ((real(3, 2), _along), (0, (3, 2))),
        ((real(3), _index), (0, (4,))),
    ],
    # addition: routing by a choice
    "where": [
        ((_mask, real(3), real(3)), ()),
        ((_mask, real(2, 3), real(2, 1)), ()),
        ((np.array(True), real(2), real()), ()),
        ((np.zeros((0, 3), bool), real(0, 3), real(1, 3)), ()),
    ],
    "clip": [((apart(3, 4),), bounds) for bounds in [(-0.5, 0.5), (None, 0.4), (-0.4, None)]]
    + [((apart(),), (-1.0, 1.0)), ((apart(0, 2),), (0.0, 1.0))],
    "sort": [((apart(3, 4),), (1,)), ((apart(3, 4),), (0,)), ((apart(2, 1),), (1,)), ((apart(0, 3),), (1,))],
    "maximum": _apart_pairs(),
    "minimum": _apart_pairs(),
    "max": _reductions(),
    "min": _reductions(),
    # weighting
    "multiply": _pairs(),
    "matmul": [
        ((real(2, 3), real(3, 4)), ()),
        ((real(1, 3), real(3, 1)), ()),
        ((real(5, 2, 3), real(3, 4)), ()),
        ((real(2, 3), real(5, 3, 4)), ()),
        ((real(4, 1, 2, 3), real(5, 3, 2)), ()),
        ((real(2, 0), real(0, 3)), ()),
        ((real(0, 2), real(2, 3)), ()),
    ],
    "einsum": [
        ((real(2, 3), real(3, 4)), (("ij", "jk"), "ik")),
        ((real(2, 3), real(3, 4), real(4, 2)), (("ij", "jk", "ki"), "")),
        ((real(5, 2, 3), real(5, 3)), (("bij", "bj"), "bi")),
        ((real(2), real(3), real(4)), (("i", "j", "k"), "kij")),
        ((real(3), real(3)), (("i", "i"), "i")),
        ((real(0, 2), real(2)), (("ij", "j"), "i")),
    ],
}


LARGE: dict[str, list[tuple[tuple[Any, ...], tuple[Any, ...]]]] = {
    "tanh": [((real(1000, 300),), ())],
    "sum": [((real(1000, 300),), (axes, False)) for axes in ((0,), (1,), (0, 1))],
    "max": [((apart(100, 300),), (axes, False)) for axes in ((0,), (1,), (0, 1))],
    "cumsum": [((real(3, 2000),), (1,)), ((real(700, 3),), (0,))],
    "sort": [((apart(5, 2000),), (1,)), ((apart(2000, 3),), (0,))],
    "take": [((real(50, 40), _random.integers(0, 50, 5000)), (0,))],
    "multiply": [((real(1, 200, 40), real(60, 1, 40)), ())],
    "matmul": [
        ((real(257, 300), real(300, 129)), ()),
        ((real(129, 300).T, real(129, 65)), ()),
        ((real(7, 65, 33), real(33, 40)), ()),
    ],
    "einsum": [((real(20, 30, 40), real(20, 40)), (("bij", "bj"), "bi"))],
    "solve": [
        ((well_conditioned(*a) + 9 * np.eye(a[-1]), real(*b)), ())
        for a, b in [((20, 20), (20, 30)), ((50, 4, 4), (50, 4, 4))]
    ],
}
"""More operands of some rows: where a device takes another way for larger arrays."""

ENDS: dict[str, tuple[Any, ...]] = {"max": ((0,), False), "min": ((0,), False), "sort": (0,)}
"""Rows that look along an axis, and the parameters with which they are given all of ``SPECIAL`` as one
row."""

SPECIAL = np.array(
    [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -2.5,
        10.0,
        88.0,
        -88.0,
        104.0,
        -746.0,
        1e30,
        -1e30,
        1e-30,
        np.inf,
        -np.inf,
        np.nan,
    ]
)

# ties, and no rounding
_QUARTERS, _OTHERS = _random.integers(-9, 9, (3, 4)) / 4, _random.integers(1, 5, (3, 1)) / 4
# quotients of those are no numbers of float32
_MODERATE = SPECIAL[(abs(SPECIAL) > 1e20) == np.isinf(SPECIAL)]
_MODERATE = np.append(_MODERATE[abs(_MODERATE) != 1e-30], [0.1, -0.1])
_ROWS = np.array([SPECIAL, np.roll(SPECIAL, 5), np.where(np.isnan(SPECIAL), 3.0, SPECIAL)])
_CONDITIONS = _random.integers(0, 2, (2, 3, 4)).astype(bool)

CHOICES: dict[str, list[tuple[tuple[Any, ...], tuple[Any, ...]]]] = {
    **{
        name: [
            ((_QUARTERS, _OTHERS), ()),
            ((_OTHERS, _OTHERS), ()),
            ((_QUARTERS[0], _QUARTERS), ()),
            ((SPECIAL[:, None], SPECIAL), ()),
        ]
        for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")
    },
    **{
        name: [((_CONDITIONS[0], _CONDITIONS[1]), ()), ((_QUARTERS, _CONDITIONS[1]), ())]
        for name in ("logical_and", "logical_or", "logical_xor")
    },
    "logical_not": [((_CONDITIONS[0],), ()), ((_QUARTERS,), ())],
    **{
        name: [((SPECIAL,), ()), ((_QUARTERS,), ())]
        for name in ("isnan", "isinf", "isfinite", "sign", "floor", "ceil", "rint", "trunc")
    },
    "floor_divide": [
        ((_QUARTERS, _OTHERS), ()),
        ((_QUARTERS, -_OTHERS), ()),
        ((np.arange(-6, 6), np.array(4)), ()),
        ((_MODERATE[:, None], _MODERATE), ()),
    ],
    **{
        name: [((_QUARTERS,), (axis,)) for axis in (0, 1)] + [((real(3, 2000),), (1,)), ((_ROWS,), (1,))]
        for name in ("argmax", "argmin")
    },
    "argsort": [((apart(3, 4),), (axis,)) for axis in (0, 1)] + [((apart(3, 2000),), (1,))],
    **{name: [((_CONDITIONS,), (axes,)) for axes in ((0,), (2,), (0, 1, 2))] for name in ("all", "any")},
    "searchsorted": [((np.sort(_QUARTERS[0]), _QUARTERS), (side,)) for side in ("left", "right")],
}
"""Operands of the rows that move only in jumps."""
