"""Proofs: every derivative against differences of the function itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from . import tape
from .errors import DtypeError, GradientCheckError, ShapeError
from .ops import as_tensor
from .tensor import Tensor
from .transforms import grad, jvp, vjp


def check_gradients(
    f: Callable[..., Any], *inputs: Any, order: int = 2, step: float | None = None, rtol: float = 1e-5, atol: float = 1e-7, seed: int = 0
) -> None:
    """Compare reverse and forward mode of f with central differences, along random directions; order 2 compares their derivatives too.

    Args:
        f: takes tensors, returns a tensor.
        inputs: float64 arrays or tensors; others are held fixed.
        order: 1 or 2.
        step: the length of the difference; 6e-6 by default, near the best for central differences in float64.
        rtol, atol: how far both numbers may be apart.
        seed: of the random directions.

    Raises:
        GradientCheckError: names the operation that returned f's result, the order, the mode, the argument and both numbers.
        DtypeError: no float64 input: differences in float32 would prove nothing.
        ShapeError: order is neither 1 nor 2.
    """
    if order not in (1, 2):
        raise ShapeError(f"check_gradients: order is 1 or 2, got {order}")
    tensors = [as_tensor(x).detach() for x in inputs]
    differentiable = [i for i, x in enumerate(tensors) if x.dtype == numpy.float64]
    if not differentiable:
        raise DtypeError("check_gradients: no float64 input: differences in other dtypes are too coarse; convert with .astype('float64')")
    random = numpy.random.default_rng(seed)
    _check_order(f, tensors, differentiable, random, 1, step or 6e-6, rtol, atol)
    if order == 2:
        for i in differentiable:
            direction = _like(tensors[i], random)
            weights = _like(as_tensor(f(*tensors)), random)

            def slope(*xs: Any, i: int = i, direction: Any = direction, weights: Any = weights) -> Any:
                gradient = grad(lambda *ys: (as_tensor(f(*ys)) * weights).sum(), i)(*xs)
                return (gradient * direction).sum()

            _check_order(slope, tensors, differentiable, random, 2, step or 6e-6, rtol, atol, f)


def _like(x: Any, random: numpy.random.Generator) -> Tensor:
    direction: Tensor = tape.lift(random.standard_normal(x.shape).astype(x.dtype), x._backend)
    return direction


def _check_order(
    f: Callable[..., Any], tensors: list[Any], differentiable: list[int], random: numpy.random.Generator, order: int, step: float,
    rtol: float, atol: float, named: Callable[..., Any] | None = None,
) -> None:  # fmt: skip
    y, pull = vjp(f, *tensors)
    weights = _like(y, random)
    residuals = pull(weights) if y.size else None
    name = _name_of(named or f, tensors)
    for i in differentiable:
        direction = _like(tensors[i], random)
        expected = _difference(f, tensors, i, direction, weights, step)
        if residuals is not None:
            _compare(name, order, "reverse", i, float((residuals[i] * direction).sum()), expected, rtol, atol)

        def along(x: Any, i: int = i) -> Any:
            return as_tensor(f(*tensors[:i], x, *tensors[i + 1 :]))

        _, tangent = jvp(along, tensors[i], direction)
        _compare(name, order, "forward", i, float((tangent * weights).sum()), expected, rtol, atol)


def _difference(f: Callable[..., Any], tensors: list[Any], i: int, direction: Any, weights: Any, step: float) -> float:
    """⟨w, f(x + εd) − f(x − εd)⟩ / 2ε."""
    ends = []
    for sign in (1, -1):
        moved = (tensors[i] + direction * (sign * step)).detach()
        ends.append(as_tensor(f(*tensors[:i], moved, *tensors[i + 1 :])))
    return float(((ends[0] - ends[1]) * weights).sum()) / (2 * step)


def _compare(name: str, order: int, mode: str, argument: int, computed: float, expected: float, rtol: float, atol: float) -> None:
    # not (a <= b), so that NaN fails
    if not abs(computed - expected) <= atol + rtol * max(abs(computed), abs(expected)):
        raise GradientCheckError(
            f"{name}: the {'first' if order == 1 else 'second'} derivative with respect to argument {argument} is wrong in {mode} mode: "
            f"computed {computed:.12g}, differences give {expected:.12g}"
        )


def _name_of(f: Callable[..., Any], tensors: list[Any]) -> str:
    result = as_tensor(f(*[x.detach().requires_grad_(x.dtype.kind == "f") for x in tensors]))
    name = getattr(f, "__name__", type(f).__name__)
    return name if result.entry is None or name != "<lambda>" else result.entry.row.name
