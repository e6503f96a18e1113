"""Proofs: the rule of each row by its own case, and every derivative of a function against differences of the
function itself.

    addition      y = L x           ⟨v, Jᵀu⟩ = ⟨Jv, u⟩ and L is linear: exact, no finite difference
    weighting     y = B(a, b)       the same in each argument
    composition   y = f(x)          complex step, f(x + ihv) = f(x) + ih f′(x) v: exact to rounding;
                                    else central differences

A residual is itself a function of the residual that came and of the operands, so the second order is the
first order of that function.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from . import arguments, tree
from .chain_rule.row import Row
from .errors import DtypeError, GradientCheckError
from .ops import Nest, as_tensor
from .tape import Tape, apply
from .tensor import Tensor
from .transforms import grad, jvp, vjp

# -- a row by its case ---------------------------------------------------------------------------------------


def prove(row: Row, *operands: Any, params: tuple[Any, ...] = (), seed: int = 0) -> None:
    """Prove the rule of a row at these operands, to second order, in the way of its case.

    Args:
        operands: float64 arrays or tensors, off ties and kinks; others (conditions, indices) are held fixed.
        params: the constants of the row: axes, shapes, indices.

    Raises:
        GradientCheckError: names the row, the order, the mode, the argument and both numbers.
        DtypeError: no float64 operand, or a row of no case.
    """
    tensors = [as_tensor(x).detach() for x in operands]
    varied = _differentiable(row.name, tensors)
    random = numpy.random.default_rng(seed)
    xs = [tensors[i] for i in varied]

    def f(*values: Any) -> Any:
        return apply(row, _replaced(tensors, varied, values), params)

    def residuals(*u_and_xs: Any) -> Any:
        y, pull = vjp(f, *u_and_xs[count:])
        return pull(tree.unflatten(y, u_and_xs[:count]))

    us = [_like(y, random) for y in tree.leaves(f(*xs))]
    count = len(us)
    if row.case == "addition":
        _prove_linear(row.name, 1, f, xs, range(len(xs)), random)
        _prove_linear(row.name, 2, residuals, [*us, *xs], range(count + len(xs)), random)
        _prove_constant(row.name, residuals, us, xs, random)
    elif row.case == "weighting":
        for i in range(len(xs)):
            _prove_linear(row.name, 1, f, xs, [i], random)
        for i in range(count + len(xs)):
            _prove_linear(row.name, 2, residuals, [*us, *xs], [i], random)
    elif row.case == "composition":
        _prove_linear(row.name, 2, residuals, [*us, *xs], range(count), random)
        if not _prove_by_complex_step(row, tensors, varied, params, residuals, us[0], random):
            _check(row.name, f, tensors=xs, order=2, random=random)
    else:
        raise DtypeError(f"prove: {row.name!r} is no case of the chain rule but a {row.case}")


def _prove_linear(
    name: str,
    order: int,
    f: Callable[..., Any],
    xs: Sequence[Any],
    places: Sequence[int],
    random: numpy.random.Generator,
) -> None:
    """f is linear in the arguments at ``places`` together, its tangent is that linear map, its residual the
    adjoint of the map.

    Rows that route by a choice are linear near the operands: hence the short step. It is no finite
    difference: nothing is cut off.
    """
    step = 2.0**-10
    start, directions = tuple(xs[i] for i in places), tuple(_like(xs[i], random) for i in places)

    def of_places(*values: Any) -> Any:
        return f(*_replaced(xs, places, values))

    y, pull = vjp(of_places, *start)
    weights = tree.map_leaves(lambda part: _like(part, random), y)
    moved = of_places(*[x + step * v for x, v in zip(start, directions, strict=True)])
    tangent = jvp(of_places, start, directions)[1]
    change = _inner(weights, moved) - _inner(weights, y)
    scale = _inner(weights, moved, magnitude=True) + _inner(weights, tangent, magnitude=True)
    _compare(
        name,
        order,
        "forward",
        places,
        _inner(weights, tangent),
        change / step,
        0,
        1e-12 * scale / step,
        "the operation itself gives",
    )
    residuals = pull(weights)
    scale = _inner(directions, residuals, magnitude=True) + _inner(weights, tangent, magnitude=True)
    adjoint = _inner(directions, residuals)
    _compare(
        name, order, "reverse", places, adjoint, _inner(weights, tangent), 0, 1e-12 * scale, "⟨Jv, u⟩ is"
    )


def _prove_constant(
    name: str, residuals: Callable[..., Any], us: list[Any], xs: list[Any], random: numpy.random.Generator
) -> None:
    """The residuals of an addition do not change with its operands."""
    _, tangents = jvp(lambda *values: residuals(*us, *values), tuple(xs), tuple(_like(x, random) for x in xs))
    for i, tangent in enumerate(tree.leaves(tangents)):
        _compare(name, 2, "forward", [i], float(abs(tangent).sum()), 0.0, 0, 0, "an addition has")


def _prove_by_complex_step(
    row: Row,
    tensors: list[Any],
    varied: list[int],
    params: Any,
    residuals: Callable[..., Any],
    u: Any,
    random: numpy.random.Generator,
) -> bool:
    """Compare with f(x + ihv) and with the residuals at x + ihv; False where that is not NumPy or f is not
    complex."""
    xs = tuple(tensors[i] for i in varied)
    for k, place in enumerate(varied):
        direction = _like(tensors[place], random)
        slopes = _complex_step(row, tensors, varied, place, direction, params, u)
        if slopes is None:
            return False
        slope_of_y, slopes_of_residuals = slopes
        agree = functools.partial(
            _compare,
            row.name,
            places=[place],
            rtol=1e-10,
            atol=1e-13,
            source=f"the complex step{'' if row.named else _OF_FORWARD} gives",
        )
        along = tuple(direction if i == k else x * 0 for i, x in enumerate(xs))
        _, tangent = jvp(lambda *values: apply(row, _replaced(tensors, varied, values), params), xs, along)
        expected = float((slope_of_y * u._data).sum())
        agree(1, "forward", computed=_inner(tangent, u), expected=expected)
        agree(1, "reverse", computed=_inner(residuals(u, *xs)[k], direction), expected=expected)
        weights = [_like(x, random) for x in xs]
        expected = sum(
            float((slope * w._data).sum()) for slope, w in zip(slopes_of_residuals, weights, strict=True)
        )
        _, second = jvp(lambda *values: residuals(u, *values), xs, along)
        agree(2, "forward", computed=_inner(second, weights), expected=expected)
        _, pull = vjp(lambda x, k=k: residuals(u, *xs[:k], x, *xs[k + 1 :]), tensors[place])
        agree(2, "reverse", computed=_inner(pull(tuple(weights))[0], direction), expected=expected)
    return True


_OF_FORWARD = " (whose forward pass takes complex numbers: np.maximum(x, -x) instead of abs(x))"


def _complex_step(
    row: Row, tensors: Sequence[Any], varied: Sequence[int], place: int, direction: Any, params: Any, u: Any
) -> tuple[Any, list[Any]] | None:
    """How the result, and the residual of each varied operand, change along a direction of one operand: the
    imaginary part of a step of 1e-30 i, which no difference rounds. None where that is not possible."""
    backend, h = tensors[0]._backend, 1e-30
    if backend.name != "numpy":
        return None
    xs = [x._data for x in tensors]
    xs[place] = xs[place] + 1j * h * direction._data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", numpy.exceptions.ComplexWarning)
            y = row.forward(backend, *xs, *params)
            parts = row.pull(backend, u._data, y, xs, params, [True] * len(xs))
    except (TypeError, ValueError, numpy.exceptions.ComplexWarning):
        return None
    if y.dtype.kind != "c":
        return None
    return y.imag / h, [backend.sum_to(parts[i], tensors[i].shape).imag / h for i in varied]


# -- a function by differences -------------------------------------------------------------------------------


def check_gradients(
    f: Callable[..., Nest],
    *inputs: Nest,
    order: int = 2,
    step: float = 6e-6,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> None:
    """Compare reverse and forward mode of f with central differences, along random directions; order 2
    compares their derivatives too.

    >>> x = np.array([0.5, 1.0])
    >>> tg.check_gradients(lambda x: tg.sum(tg.tanh(x) ** 2), x)

    Args:
        f: takes tensors, returns a tensor or nested tensors.
        inputs: float64 arrays or tensors, or lists, tuples and dicts of them; others are held fixed.
        order: 1 or 2.
        step: the length of the difference; 6e-6 by default, near the best for central differences in float64.
        rtol, atol: how far both numbers may be apart.
        seed: of the random directions.

    Raises:
        GradientCheckError: names f or the operation in it whose rule is wrong, the order, the mode, the
            argument and both numbers.
        DtypeError: no float64 input: differences in float32 would prove nothing.
        ArgumentError: order is neither 1 nor 2.
    """
    arguments.function("check_gradients: f", f)
    if arguments.whole("check_gradients: order", order) not in (1, 2):
        raise arguments.refused("check_gradients: order", "1 or 2", order)
    step = arguments.positive("check_gradients: step", step)
    rtol, atol = arguments.rate("check_gradients: rtol", rtol), arguments.rate("check_gradients: atol", atol)
    generator = numpy.random.default_rng(arguments.seed("check_gradients: seed", seed))
    tensors = [as_tensor(x).detach() for x in tree.leaves(inputs)]

    def flat(*values: Any) -> Any:
        return f(*tree.unflatten(inputs, values))

    name = getattr(f, "__name__", type(f).__name__)
    try:
        _check(name, flat, tensors, order, generator, step, rtol, atol)
    except GradientCheckError as error:
        raise GradientCheckError(f"{error}{_culprit(flat, tensors)}") from None


def _check(
    name: str, f: Callable[..., Any], tensors: list[Any], order: int, random: numpy.random.Generator,
    step: float = 6e-6, rtol: float = 1e-5, atol: float = 1e-7,
) -> None:  # fmt: skip
    varied = _differentiable("check_gradients", tensors)
    weights = tree.map_leaves(lambda y: _like(as_tensor(y), random), f(*tensors))

    def weighted(*xs: Any) -> Any:
        return sum(
            (as_tensor(y) * w).sum() for y, w in zip(tree.leaves(f(*xs)), tree.leaves(weights), strict=True)
        )

    _check_order(name, weighted, tensors, varied, 1, random, step, rtol, atol)
    if order == 2:
        for i in varied:
            direction = _like(tensors[i], random)

            def slope(*xs: Any, i: int = i, direction: Any = direction) -> Any:
                return (grad(weighted, i)(*xs) * direction).sum()

            _check_order(name, slope, tensors, varied, 2, random, step, rtol, atol)


def _check_order(
    name: str, f: Callable[..., Any], tensors: list[Any], varied: list[int], order: int,
    random: numpy.random.Generator, step: float, rtol: float, atol: float,
) -> None:  # fmt: skip
    residuals = grad(f, varied)(*tensors)
    for i, residual in zip(varied, residuals, strict=True):
        direction = _like(tensors[i], random)
        ahead, behind = (
            f(*_replaced(tensors, [i], [tensors[i] + direction * s])).item() for s in (step, -step)
        )
        expected = (ahead - behind) / (2 * step)
        _compare(name, order, "reverse", [i], _inner(residual, direction), expected, rtol, atol)
        _, tangent = jvp(lambda x, i=i: f(*_replaced(tensors, [i], [x])), tensors[i], direction)
        _compare(name, order, "forward", [i], tangent.item(), expected, rtol, atol)


def _culprit(f: Callable[..., Any], tensors: list[Any]) -> str:
    """Which rule of those that f used fails its own proof, in words."""
    results = tree.leaves(f(*[x.detach().requires_grad_(x.dtype.kind == "f") for x in tensors]))
    for place, entry in enumerate(Tape.of(*results)):
        if entry.row.case in ("composition", "addition", "weighting") and any(
            x.dtype == numpy.float64 for x in map(as_tensor, entry.inputs)
        ):
            try:
                prove(entry.row, *entry.inputs, params=entry.params)
            except GradientCheckError as error:
                return (
                    f"; the rule at fault is that of {entry.row.name!r}, entry {place} of the tape ({error})"
                )
    return (
        "; each rule that it uses holds by itself: does it have a kink here, draw random numbers, or "
        "use values off the tape?"
    )


# -- both ----------------------------------------------------------------------------------------------------


def _differentiable(name: str, tensors: Sequence[Any]) -> list[int]:
    places = [i for i, x in enumerate(tensors) if x.dtype == numpy.float64]
    if not places:
        raise DtypeError(
            f"{name}: no float64 input: differences in other dtypes are too coarse; convert with "
            ".astype('float64')"
        )
    return places


def _replaced(xs: Sequence[Any], places: Sequence[int], values: Sequence[Any]) -> list[Any]:
    done = list(xs)
    for i, value in zip(places, values, strict=True):
        done[i] = value
    return done


def _like(x: Any, random: numpy.random.Generator) -> Tensor:
    return Tensor(x._backend.from_host(numpy.asarray(random.standard_normal(x.shape), x.dtype)), x._backend)


def _inner(a: Any, b: Any, magnitude: bool = False) -> float:
    """⟨a, b⟩ over nested tensors; with ``magnitude`` the sum of the sizes of its terms, the scale of its
    rounding."""
    products = [x.numpy() * y.numpy() for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True)]
    return float(sum((abs(p) if magnitude else p).sum() for p in products))


def _compare(
    name: str, order: int, mode: str, places: Sequence[int], computed: float, expected: float, rtol: float,
    atol: float, source: str = "differences give",
) -> None:  # fmt: skip
    # not (a <= b), so that NaN fails
    if not abs(computed - expected) <= atol + rtol * max(abs(computed), abs(expected)):
        arguments = f"argument{'s' if len(places) > 1 else ''} {', '.join(map(str, places))}"
        raise GradientCheckError(
            f"{name}: the {'first' if order == 1 else 'second'} derivative with respect to {arguments} is "
            f"wrong in {mode} mode: "
            f"computed {computed:.12g}, {source} {expected:.12g}"
        )
