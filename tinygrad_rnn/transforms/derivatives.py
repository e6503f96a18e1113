"""Derivatives of functions: reverse mode, forward mode, and both on top of each other.

All of them run the function once with fresh tensors in place of its arguments and walk the tape that this
leaves. Whether that walk is recorded itself follows from what the result depends on: only if something
outside also asks for residuals. Arguments may be nested tuples, lists and dicts; results are then nested the
same way.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

from .. import arguments, batches, ops, tree
from ..errors import DtypeError, IndexRangeError, ShapeError
from ..ops import ArrayLike, Leaf, Nest, as_tensor
from ..tape import (
    Node,
    Tape,
    lift,
    no_grad,
    push_forward,
    recording,
    require_float,
    seed,
    thread,
)
from ..tensor import Tensor, Variable
from .reverse import pulled
from .signatures import A, Function, Gradient, OfTensor, P, ValueAndGradient, Y


def _variable(x: Any) -> Tensor:
    """A fresh tensor in place of an argument: a leaf, or tied to the tape that x is on."""
    x = as_tensor(x)
    require_float(x._data.dtype, True)
    return ops.reshape(x, x.shape) if x.requires_grad else Variable(x._data, x._backend, True)


def _variables(args: Sequence[Any], argnums: Sequence[int]) -> list[Any]:
    if not all(i < len(args) for i in argnums):
        raise IndexRangeError(
            f"argnums {tuple(argnums)} name an argument that is not there: the function got {len(args)}"
        )
    return [tree.map_leaves(_variable, arg) if i in argnums else arg for i, arg in enumerate(args)]


def _positions(argnums: int | Sequence[int]) -> tuple[int, ...]:
    return arguments.wholes("argnums", argnums, 0)


def _results(name: str, y: Any) -> list[Tensor]:
    """What a function returned, as tensors."""
    try:
        return [as_tensor(part) for part in tree.leaves(y)]
    except DtypeError as error:
        raise DtypeError(
            f"{name}: the function must return tensors, it returned {arguments.shown(y)}"
        ) from error


def _one_number(name: str, y: Any) -> Tensor:
    results = _results(name, y)
    if len(results) != 1 or results[0].size != 1:
        shapes = ", ".join(f"shape {part.shape}" for part in results) or "nothing"
        raise ShapeError(f"{name}: the function must return one number, it returned {shapes}; use jacobian")
    return results[0]


def _seen_outside(outputs: Sequence[Any], inputs: Sequence[Any]) -> bool:
    """Whether anything but these fresh leaves asks for residuals of the outputs."""
    ours = {id(x) for x in inputs if x.entry is None}
    for entry in Tape.of(*outputs):
        for x, needed in zip(entry.inputs, entry.needs, strict=True):
            if needed and x.entry is None and id(x) not in ours:
                return True
    return False


@overload
def value_and_grad(f: Function[P], argnums: Literal[0] = 0) -> ValueAndGradient[P]: ...
@overload
def value_and_grad(
    f: Callable[..., ArrayLike], argnums: Sequence[int]
) -> Callable[..., tuple[Tensor, tuple[Any, ...]]]: ...
@overload
def value_and_grad(f: Callable[..., ArrayLike], argnums: int) -> Callable[..., tuple[Tensor, Any]]: ...
def value_and_grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Any:
    """A function that returns f's value, a single number, and its gradient with respect to the arguments at
    ``argnums``.

    >>> value, slope = tg.value_and_grad(lambda x: x**2)(3.0)
    >>> value.item(), slope.item()
    (9.0, 6.0)
    """
    positions, single = _positions(argnums), arguments.is_one(argnums)
    arguments.function("grad: f", f)

    @functools.wraps(f)
    def valued(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        with recording():
            variables = _variables(args, positions)
            y = _one_number("grad", f(*variables, **kwargs))
        chosen = [variables[i] for i in positions]
        flat = tree.leaves(chosen)
        if not y.requires_grad:
            zeros = tree.map_leaves(ops.zeros_like, chosen)
            return y, zeros[0] if single else tuple(zeros)
        outside = _seen_outside([y], flat)
        found = tree.unflatten(chosen, pulled([(y, seed(y, None, outside))], flat, outside))
        return y if outside else y.detach(), found[0] if single else tuple(found)

    return valued


@overload
def grad(f: Function[P], argnums: Literal[0] = 0) -> Gradient[P]: ...
@overload
def grad(f: Callable[..., ArrayLike], argnums: Sequence[int]) -> Callable[..., tuple[Any, ...]]: ...
@overload
def grad(f: Callable[..., ArrayLike], argnums: int) -> Callable[..., Any]: ...
def grad(f: Callable[..., Any], argnums: int | Sequence[int] = 0) -> Any:
    """A function that returns the gradient of f, which returns a single number.

    >>> tg.grad(lambda x, y: x**2 * y)(3.0, 2.0)
    tensor(12., dtype=float32)
    """
    valued = value_and_grad(f, argnums)

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        return valued(*args, **kwargs)[1]

    return gradient


@overload
def vjp(f: Callable[..., Y], *xs: Leaf) -> tuple[Y, Callable[[Nest], tuple[Tensor, ...]]]: ...
@overload
def vjp(f: Callable[..., Y], *xs: Nest) -> tuple[Y, Callable[[Nest], tuple[Any, ...]]]: ...
def vjp(f: Callable[..., Any], *xs: Any) -> Any:
    """``f(*xs)``, and a function that takes a residual of it to the residuals of the xs, ``Jᵀ g``, a tuple of
    one for each.

    >>> y, pull = tg.vjp(tg.square, tg.tensor([1.0, 2.0]))
    >>> pull(tg.tensor([1.0, 10.0]))
    (tensor([ 2., 40.], dtype=float32),)
    """
    arguments.function("vjp: f", f)
    with recording():
        variables = _variables(xs, range(len(xs)))
        y = f(*variables)
    results = _results("vjp", y)
    y = tree.unflatten(y, results)
    flat = tree.leaves(variables)

    def pull(g: Any) -> tuple[Any, ...]:
        starts = tree.leaves(g)
        if len(starts) != len(results):
            raise ShapeError(f"vjp: {len(starts)} residuals for {len(results)} results")
        live = [(r, start) for r, start in zip(results, starts, strict=True) if r.requires_grad]
        if not live:
            return tuple(tree.map_leaves(ops.zeros_like, variables))
        outside = _seen_outside([r for r, _ in live], flat) or any(
            isinstance(s, Node) and s.requires_grad for s in starts
        )
        seeds = [(r, seed(r, start, outside)) for r, start in live]
        return tuple(tree.unflatten(variables, pulled(seeds, flat, outside)))

    return tree.map_leaves(lambda r: r.detach() if not _seen_outside([r], flat) else r, y), pull


@overload
def jvp(f: Callable[[Tensor], Y], x: Leaf, v: Leaf) -> tuple[Y, Y]: ...
@overload
def jvp(f: Callable[..., Y], x: Nest, v: Nest) -> tuple[Y, Y]: ...
def jvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """f(x) and its derivative along v, ``J v``, by forward mode from the same rows.

    >>> y, tangent = tg.jvp(tg.square, tg.tensor([1.0, 2.0]), tg.tensor([1.0, 10.0]))
    >>> tangent
    tensor([ 2., 40.], dtype=float32)

    Args:
        x: the argument, or a tuple of the arguments: f is called with each of them by itself.
        v: a tangent nested as x.
    """
    xs, vs = (x, v) if isinstance(x, tuple) else ((x,), (v,))
    arguments.function("jvp: f", f)
    if len(tree.leaves(xs)) != len(tree.leaves(vs)):
        raise ShapeError(
            f"jvp: v must be nested as x: it has {len(tree.leaves(vs))} tangents for "
            f"{len(tree.leaves(xs))} arguments"
        )
    with recording():
        variables = _variables(xs, range(len(xs)))
        y = f(*variables)
        flat = tree.leaves(variables)
        tangents = [
            ops.astype(lift(t, p._backend), p.dtype) for t, p in zip(tree.leaves(vs), flat, strict=True)
        ]
        for tangent, p in zip(tangents, flat, strict=True):
            if tangent.shape != p.shape:
                raise ShapeError(f"jvp: a tangent has shape {tangent.shape}, its argument {p.shape}")
        results = _results("jvp", y)
        outside = _seen_outside(results, flat) or any(t.requires_grad for t in tangents)
        starts = [(p, t if outside else t._data) for p, t in zip(flat, tangents, strict=True)]
        pushed = push_forward(results, starts, ops if outside else None)
    done = []
    for r, t in zip(results, pushed, strict=True):
        t = ops.zeros_like(r) if t is None else t
        done.append(t if isinstance(t, Node) else Tensor(r._backend.asarray(t), r._backend))
    values = results if outside else [r.detach() for r in results]
    return tree.unflatten(y, values), tree.unflatten(y, done)


@overload
def hvp(f: Callable[[Tensor], ArrayLike], x: Leaf, v: Leaf) -> Tensor: ...
@overload
def hvp(f: Callable[..., ArrayLike], x: A, v: Nest) -> A: ...
def hvp(f: Callable[..., Any], x: Any, v: Any) -> Any:
    """The Hessian of f at x times v: the gradient's derivative along v, forward over reverse.

    >>> tg.hvp(lambda x: tg.sum(x**3), tg.tensor([1.0, 2.0]), tg.tensor([1.0, 0.0]))
    tensor([6., 0.], dtype=float32)

    Args:
        f: returns a single number.
        x: the argument, or a tuple of the arguments: f is called with each of them by itself.
        v: nested as x.
    """
    if isinstance(x, tuple):
        return jvp(grad(f, range(len(x))), x, v)[1]
    return jvp(grad(f), x, v)[1]


@overload
def jacobian(f: Function[P], argnums: Literal[0] = 0) -> OfTensor[P]: ...
@overload
def jacobian(f: Callable[..., ArrayLike], argnums: int) -> Callable[..., Tensor]: ...
def jacobian(f: Callable[..., Any], argnums: int = 0) -> Any:
    """A function that returns ∂f/∂x with the shape of f's result followed by the shape of x.

    The residuals of many elements of f go back together, in one pass: of losses of samples, w → (B,), it is
    the gradient for each sample.

    >>> tg.jacobian(tg.square)(tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]], dtype=float32)

    Args:
        f: takes a tensor at ``argnums`` and returns one.

    Raises:
        ShapeError: it takes or returns several.
    """
    arguments.function("jacobian: f", f)
    return _jacobian("jacobian", f, arguments.whole("jacobian: argnums", argnums, 0))


def _jacobian(name: str, f: Callable[..., Any], argnums: int) -> Callable[..., Tensor]:
    """
    Args:
        name: what the user called.
    """

    @functools.wraps(f)
    def matrix(*args: Any, **kwargs: Any) -> Tensor:
        with recording():
            variables = _variables(args, (argnums,))
            results, x = _results(name, f(*variables, **kwargs)), variables[argnums]
            if len(results) != 1 or not isinstance(x, Tensor):
                raise ShapeError(
                    f"{name}: takes one tensor to one tensor; use vjp or jvp for several, or stack them"
                )
            y = results[0]
            if not y.requires_grad or y.size == 0:
                zeros = y._backend.zeros((*y.shape, *x.shape), y.dtype)
                return Tensor(zeros, y._backend)
            outside = _seen_outside([y], [x])
            rows = _rows_together(y, x, outside)
            if rows is None:
                rows = ops.stack(
                    [
                        pulled([(y, one if outside else one._data)], [x], outside)[0]
                        for one in batches.units(y, 0, y.size)
                    ]
                )
            return ops.reshape(rows, (*y.shape, *x.shape))

    return matrix


def _rows_together(y: Tensor, x: Tensor, outside: bool) -> Tensor | None:
    """The residuals of x from every element of y, many in one pass; None where they have to go one by one."""
    if y.size < batches.LEAST or thread.tracing is not None or thread.observer is not None:
        return None
    g = Variable(y._backend.ones(y.shape, y.dtype), y._backend, True)
    (residual,) = pulled([(y, g)], [x], True, linear=True)
    count, parts = batches.at_a_time(y.size, residual), []
    if count is None:
        return None
    try:
        with y._backend.quiet(), recording() if outside else no_grad():
            for first in range(0, y.size, count):
                begin = min(first, y.size - count)  # all are as many: scans are compiled for a number
                (part,) = batches.along([residual], [(g, batches.units(y, begin, begin + count))], count)
                part = ops.zeros((count, *x.shape), x.dtype) if part is None else part
                parts.append(part[first - begin :])
            rows = ops.concatenate(parts)
    except batches.NoBatch:
        return None
    # where a slope is infinite or NaN, a residual of 0 stays 0, which is decided for each of them
    return rows if bool(rows._backend.all(rows._backend.isfinite(rows._data))) else None


@overload
def hessian(f: Function[P], argnums: Literal[0] = 0) -> OfTensor[P]: ...
@overload
def hessian(f: Callable[..., ArrayLike], argnums: int) -> Callable[..., Tensor]: ...
def hessian(f: Callable[..., Any], argnums: int = 0) -> Any:
    """A function that returns the second derivatives of f, which returns a single number.

    >>> tg.hessian(lambda x: tg.sum(x**3))(tg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]], dtype=float32)
    """
    argnums = arguments.whole("hessian: argnums", argnums, 0)
    return _jacobian("hessian", grad(arguments.function("hessian: f", f), argnums), argnums)


__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]
