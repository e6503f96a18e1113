"""A piece of program as one entry: it keeps only what goes in, and is run again when residuals come.

    forward     x ─[exp]─[×]─[sum]─ y      recorded, read for what it uses, and dropped
    the tape    x ──[ checkpoint ]── y      one entry: x, and the function
    backward    x ─[exp]─[×]─[sum]─ y      recorded again; the residual of y goes back along it to x

So the memory between x and y is free until the backward pass comes there, for the time of a second run
(rematerialisation). The second run must do what the first did, to the bit: else its gradient would be that of
another function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .. import tree
from ..backends import Array, Backend
from ..errors import DtypeError
from .entry import Entry, Node, Replay, now
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
    replay = _Program(name, again, args, others, work_of(live, since, [*fresh, *others]))
    entry = _recorded(replay, flat[0]._backend, inputs, tuple(y._data for y in flat))
    return tree.unflatten(
        results,
        [Node.result_type(y._data, y._backend, y.requires_grad, entry, i) for i, y in enumerate(flat)],
    )


def record_replay(
    name: str, program: Callable[..., Any], args: Sequence[Node], y: Array, pull: Callable[..., Any]
) -> Any:
    """Record y as the program's result, which was computed in a faster way. Its residuals come from
    ``pull(g)``; recorded ones from running the program."""
    sources = [x for x in args if x.requires_grad]
    constants = tuple([x._data for x in args if not x.requires_grad])
    entry = _recorded(_Faster(name, program, args, pull), args[0]._backend, sources, (y,), constants)
    return Node.result_type(y, entry.backend, True, entry, 0)


def _recorded(
    replay: Replay,
    backend: Backend,
    inputs: Sequence[Node],
    ys: tuple[Array, ...],
    constants: tuple[Array, ...] = (),
) -> Entry:
    xs = [x._data for x in inputs]
    entry = Entry(replay, backend, inputs, xs, constants, [True] * len(inputs), ys, thread.scope)
    note(entry)
    return entry


def _replaced(args: Sequence[Any], fresh: Sequence[Node]) -> Any:
    rest = iter(fresh)
    return tree.map_leaves(
        lambda x: next(rest) if isinstance(x, Node) and x.requires_grad else x, tuple(args)
    )


def outside(results: Sequence[Node], since: int, ours: Sequence[Node]) -> list[Node]:
    """The tensors from before ``since`` that results depend on, or that are results themselves, in the order
    of use; without ``ours``."""
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


class _Program(Replay):
    """A function of tensors that is run again.

    Args:
        again: the function.
        args: its arguments; the operands of the entry are those that require a residual, then ``others``.
        others: what it uses beside its arguments.
        work: that of the run that was recorded, which ``again`` must repeat to the bit; None where it does
            the same in another way.
    """

    def __init__(
        self,
        name: str,
        again: Callable[..., Any],
        args: Sequence[Any],
        others: Sequence[Node] = (),
        work: int | None = None,
    ) -> None:
        super().__init__(name)
        self._again, self._args, self._others, self._work = again, args, others, work

    def _run(self, np: Any, y: Sequence[Any], xs: Sequence[Any]) -> tuple[list[Any], list[Node], int, Any]:
        """The results of a recorded run, the tensors that went in, the index that parts both, and the
        recorded operations, if residuals are to be recorded."""
        recorded = not isinstance(np, Backend)
        count = len(xs) - len(self._others)
        if not recorded:
            check_current(self.name, self._others, xs[count:])
        heads = [np.reshape(x, x.shape) if recorded else Node.result_type(x, np, True) for x in xs[:count]]
        inputs, since = [*heads, *self._others], now()
        with recording():
            results = tree.leaves(self._again(*_replaced(self._args, heads)))
        if self._work is not None:
            work = work_of([y for y in results if y.requires_grad], since, inputs)
            check_same(self.name, results, y, self._work == work)
        return results, inputs, since, np if recorded else None

    def pull(self, np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Sequence[Any]:
        results, inputs, since, recorded = self._run(np, y, xs)
        return pull_replayed(results, inputs, since, g, recorded)

    def push(self, np: Any, tangents: Any, y: Any, xs: Any, params: Any) -> Sequence[Any]:
        results, inputs, since, recorded = self._run(np, y, xs)
        return push_replayed(results, inputs, since, tangents, recorded)

    def unfold(self, entry: Entry, inputs: Sequence[Any]) -> Sequence[Any]:
        count = len(inputs) - len(self._others)
        check_current(self.name, self._others, entry.xs[count:])
        results = tree.leaves(self._again(*_replaced(self._args, inputs[:count])))
        if self._work is not None:
            check_same(self.name, results, entry.ys)
        return results


class _Faster(_Program):
    """The same, with a faster way for residuals that are not recorded."""

    def __init__(
        self, name: str, again: Callable[..., Any], args: Sequence[Any], pull: Callable[..., Any]
    ) -> None:
        super().__init__(name, again, args)
        self._pull = pull

    def pull(self, np: Any, g: Any, y: Any, xs: Any, params: Any, needs: Any) -> Sequence[Any]:
        return self._pull(g[0]) if isinstance(np, Backend) else super().pull(np, g, y, xs, params, needs)
