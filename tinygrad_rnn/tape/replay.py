"""A piece of program as one entry: it keeps only what goes in, and is run again when residuals come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from .. import tree
from ..backends import Array, Backend
from ..chain_rule import Row
from ..errors import DtypeError
from .entry import Entry, Node, now
from .mode import recording, thread
from .passes import pull_replayed, push_replayed
from .record import note
from .walk import Tape
from .work import check_same, work_of
from .writes import check_current


def apply_replay(
    name: str, program: Callable[..., Any], again: Callable[..., Any], args: Sequence[Any]
) -> Any:
    """Run a piece of program, recorded as one entry that keeps only what goes in; its residuals come from
    running ``again`` recorded.

    What the program uses beside its arguments is found from the tape of its first run, which is then dropped.
    """
    sources = [x for x in tree.leaves(args) if isinstance(x, Node) and x.requires_grad]
    if not thread.recording:
        return program(*args)
    fresh = [Node.result_type(x._data, x._backend, True) for x in sources]
    since = now()
    results = program(*_replaced(args, fresh))
    flat = tree.leaves(results)
    for y in flat:
        if not isinstance(y, Node):
            raise DtypeError(f"{name}: the function must return tensors, it returned {type(y).__name__}")
    live = [y for y in flat if y.requires_grad]
    others = outside(live, since, fresh)
    inputs = [*sources, *others]
    if not live or not inputs:
        return tree.unflatten(results, [Node.result_type(y._data, y._backend) for y in flat])
    ys = tuple(y._data for y in flat)
    row = _replay_row(name, again, args, len(sources), others, work_of(live, since, [*fresh, *others]))
    entry = _replay_entry(row, flat[0]._backend, inputs, ys)
    return tree.unflatten(
        results,
        [Node.result_type(y._data, y._backend, y.requires_grad, entry, i) for i, y in enumerate(flat)],
    )


def record_replay(
    name: str, program: Callable[..., Any], args: Sequence[Node], y: Array, pull: Callable[..., Any]
) -> Any:
    """Record that y is the program's result, got in a faster way; its residuals come from ``pull(g)`` as long
    as they are not recorded."""
    sources = [x for x in args if x.requires_grad]
    row = _replay_row(name, program, args, len(sources), (), None)

    def pull_faster(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        return pull(g[0]) if isinstance(np, Backend) else row.pull(np, g, y, xs, params, needs)

    entry = _replay_entry(dataclasses.replace(row, pull=pull_faster), args[0]._backend, sources, (y,))
    return Node.result_type(y, entry.backend, True, entry, 0)


def _replay_entry(row: Row, backend: Backend, inputs: Sequence[Node], ys: tuple[Array, ...]) -> Entry:
    entry = Entry(row, backend, inputs, [x._data for x in inputs], (), [True] * len(inputs), ys, thread.scope)
    note(entry)
    return entry


def _replaced(args: Sequence[Any], fresh: Sequence[Node]) -> Any:
    rest = iter(fresh)
    return tree.map_leaves(
        lambda x: next(rest) if isinstance(x, Node) and x.requires_grad else x, tuple(args)
    )


def outside(results: Sequence[Node], since: int, ours: Sequence[Node]) -> list[Node]:
    """The tensors made before ``since`` that results depend on, or are themselves, other than ours, in the
    order of use."""
    known = {id(x) for x in ours}
    others: dict[int, Node] = {}
    used = [
        x
        for entry in Tape.of(*results, since=since)
        for x, needed in zip(entry.inputs, entry.needs, strict=True)
        if needed
    ]
    for x in (*used, *(y for y in results if y.requires_grad)):
        if id(x) not in known and (x.entry is None or x.entry.index < since):
            others[id(x)] = x
    return list(others.values())


def _replay_row(
    name: str,
    again: Callable[..., Any],
    args: Sequence[Any],
    count: int,
    others: Sequence[Node],
    work: int | None,
) -> Row:
    """The row of a replay.

    Args:
        count: how many of the entry's operands are among ``args``; the others are ``others``.
        work: that of the run that was recorded, which ``again`` must repeat to the bit; None where it does
            the same in another way.
    """

    def rerun(np: Any, y: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Node], int, Any]:
        """The results of a recorded run, the tensors that went in, and the index that parts both."""
        recorded = not isinstance(np, Backend)
        if not recorded:
            check_current(name, others, xs[count:])
        heads = [np.reshape(x, x.shape) if recorded else Node.result_type(x, np, True) for x in xs[:count]]
        since = now()
        with recording():
            results = tree.leaves(again(*_replaced(args, heads)))
        if work is not None:
            check_same(
                name,
                results,
                y,
                work == work_of([y for y in results if y.requires_grad], since, [*heads, *others]),
            )
        return results, [*heads, *others], since, np if recorded else None

    def pull(np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Any:
        results, inputs, since, recorded = rerun(np, y, xs)
        return pull_replayed(results, inputs, since, g, recorded)

    def push(np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Any:
        results, inputs, since, recorded = rerun(np, y, xs)
        return push_replayed(results, inputs, since, tangents, recorded)

    def unfold(entry: Entry, inputs: Sequence[Node]) -> list[Any]:
        check_current(name, others, entry.xs[count:])
        results = tree.leaves(again(*_replaced(args, inputs[:count])))
        if work is not None:
            check_same(name, results, entry.ys)
        return results

    return Row(name, "replay", name, pull, pull, push, several=True, unfold=unfold)
