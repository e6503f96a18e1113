"""The meaning of ``scan``: a loop that calls the cell once a step, every operation recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from .. import arguments, ops, transforms, tree
from ..errors import ArgumentError, DtypeError, ShapeError
from ..tape import Node, Tape, key_of, no_grad, now, scope
from ..tensor import Tensor
from .budget import steps_at_a_time
from .options import ScanOptions
from .padding import nothing, reaching

Cell = Callable[[Any, Any], tuple[Any, Any]]


def eager_scan(
    cell: Cell, xs: Any, state: Any, options: ScanOptions, step: Cell | None = None
) -> tuple[Any, Any]:
    """Run the loop.

    Args:
        cell, xs, state: as in :func:`tinygrad_rnn.scan`, all leaves tensors.
        step: what is run in place of the cell and does the same.
    """
    reverse, checkpoint = options.reverse, options.checkpoint
    slices = [ops.unstack(leaf) for leaf in tree.leaves(xs)]
    steps = [tree.unflatten(xs, parts) for parts in zip(*slices, strict=True)]
    if not steps:
        return _no_outputs(cell, xs, state), state
    order = range(len(steps))[::-1] if reverse else range(len(steps))
    y, ys = None, list[Any]()

    def advance(times: Sequence[int], again: bool) -> None:
        nonlocal y, state
        segment = _segment(cell, step or cell, times, options)
        outputs, state = (transforms.checkpoint(segment) if again else segment)(
            [steps[t] for t in times], state, y
        )
        y = outputs[-1]
        ys.extend(outputs)

    if checkpoint == "auto":  # the first step tells how much one keeps
        since = now()
        advance(order[:1], False)
        order, checkpoint = (
            order[1:],
            _fitting(tree.leaves([y, state]), since, tree.leaves(state), len(order) - 1),
        )
    for start in range(0, len(order), length := int(checkpoint or max(1, len(order)))):
        advance(order[start : start + length], checkpoint is not None)
    return _stacked(ys[::-1] if reverse else ys), state


def _fitting(results: Sequence[Any], since: int, state: Sequence[Any], steps: int) -> int | None:
    """How many of so many steps may be kept at a time, if each keeps what led to these results; None for all
    of them."""
    if not all(isinstance(y, Node) for y in results):  # only what returns tensors can be run again
        return None
    arrays = {id(y): y for entry in Tape.of(*results, since=since) for y in entry.ys}
    each = sum(y.nbytes for y in arrays.values())
    return (
        steps_at_a_time(results[0]._backend, steps, each, sum(s._data.nbytes for s in state))
        if each
        else None
    )


def _segment(
    cell: Cell, step: Cell, times: Sequence[int], options: ScanOptions
) -> Callable[[Any, Any, Any], Any]:
    """The loop over some of the steps: their inputs, the state and the output before them → their outputs,
    the state after them."""

    live = options.live

    def run(xs: Any, state: Any, y: Any) -> tuple[list[Any], Any]:
        kind, ys = _kind(state), []
        for t, x in zip(times, xs, strict=True):
            with scope("step", t, (cell, (x, state), {})) as inside:
                output, new = checked_step(cell, x, state, step, kind, t)
                if live is not None and not live[t].all():
                    other = (
                        y
                        if options.repeats and y is not None
                        else tree.map_leaves(lambda leaf: nothing(leaf.dtype), output)
                    )
                    output, new = _chosen(live[t], output, other), _chosen(live[t], new, state)
                inside.after = [key_of(leaf) for leaf in tree.leaves(new)]
            y, state = output, new
            ys.append(y)
        return ys, state

    return run


def checked_step(
    cell: Cell, x: Any, state: Any, step: Cell | None = None, kind: Any = None, t: int = 0
) -> tuple[Any, Any]:
    """A step's output and new state.

    Args:
        step: what is run in place of the cell and does the same.
        kind: of the state, where it is known.
        t: which step it is.

    Raises:
        ArgumentError: the cell returned no pair.
        ShapeError, DtypeError: the cell changed the nesting, a shape or a dtype of its state.
    """
    output, new = _pair(cell, (step or cell)(x, state))
    before, after = kind or _kind(state), _kind(new)
    if before != after:
        raise _changed(cell, t, before, after)
    return output, new


def _pair(cell: Cell, returned: Any) -> tuple[Any, Any]:
    """The output and the new state.

    Raises:
        ArgumentError: the cell returned something else.
    """
    if isinstance(returned, (tuple, list)) and len(returned) == 2:
        return returned[0], returned[1]
    name = getattr(cell, "__name__", type(cell).__name__)
    given = "one tensor" if isinstance(returned, Node) else arguments.shown(returned)
    raise ArgumentError(
        f"scan: the cell {name} must return a pair, its output and its new state: y, h; it returned {given}"
    )


def _chosen(live: numpy.ndarray, new: Any, old: Any) -> Any:
    """The new leaves for the samples that are live, the old ones for the others."""

    pairs = zip(tree.leaves(new), tree.leaves(old), strict=True)
    return tree.unflatten(new, [ops.where(reaching(live, leaf), leaf, before) for leaf, before in pairs])


def _stacked(ys: Sequence[Any]) -> Any:
    leaves = zip(*(tree.leaves(y) for y in ys), strict=True)
    return tree.unflatten(ys[0], [ops.stack(leaf) for leaf in leaves])


def _no_outputs(cell: Cell, xs: Any, state: Any) -> Any:
    """Outputs of no steps: their shapes are learnt from a step on zeros."""
    with no_grad():
        zeros = tree.map_leaves(
            lambda x: Node.result_type(x._backend.zeros(x.shape[1:], x.dtype), x._backend), xs
        )
        y, _ = _pair(cell, cell(zeros, state))
    return tree.map_leaves(
        lambda leaf: Node.result_type(leaf._backend.zeros((0, *leaf.shape), leaf.dtype), leaf._backend), y
    )


def _kind(state: Any) -> Any:
    """What must stay the same from step to step."""
    return tree.structure(state), [
        (tuple(s.shape), s.dtype) if isinstance(s, Tensor) else type(s).__name__ for s in tree.leaves(state)
    ]


def _nest(structure: Any) -> str:
    """A nesting in words: ``(tensor, tensor)``."""
    if structure == "*":
        return "tensor"
    kind, parts = structure
    if kind == "dict":
        return "{" + ", ".join(f"{key!r}: {_nest(part)}" for key, part in parts) + "}"
    inside = ", ".join(map(_nest, parts))
    return f"[{inside}]" if kind == "list" else f"({inside})" if kind == "tuple" else f"{kind}({inside})"


def _changed(cell: Cell, t: int, before: Any, after: Any) -> Exception:
    name = getattr(cell, "__name__", type(cell).__name__)
    said = f"scan: the cell {name} changed its state at step {t}: "
    if before[0] != after[0]:
        return ShapeError(f"{said}it was nested as {_nest(before[0])}, it is {_nest(after[0])}")
    kinds = "it was " + ", ".join(map(str, before[1])) + "; it is " + ", ".join(map(str, after[1]))
    if any(isinstance(kind, str) for kind in after[1]):
        return ShapeError(
            f"{said}{kinds}: what is no tensor carries no residual: tg.stack makes one of several"
        )
    same_shapes = [kind[0] for kind in before[1]] == [kind[0] for kind in after[1]]
    if not same_shapes:
        return ShapeError(said + kinds)
    return DtypeError(
        f"{said}{kinds}: begin with a state of that dtype, as by .astype('{after[1][0][1]}'), or let all "
        "have one dtype"
    )
