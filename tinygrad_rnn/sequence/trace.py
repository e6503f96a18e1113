"""Tracing a cell: its code is run once, on placeholders, and what it recorded is the program of every step.

What is promised: a trace that is not refused does at every step what the cell's own code would do. It holds because

1. all that the cell can read is known before it runs (:mod:`tinygrad_rnn.reading.closure`: variables, globals, attributes, contents of
   arrays and containers, states of random number generators), and a cell that could read something else is refused by its name;
2. what it calls is seen before it happens (:mod:`.watch`): what may give something else each time (a clock, a file, a random number),
   or changes something that stays, refuses the trace before it is done;
3. the places that its code can write to are compared after the trace: if it wrote to one, that is put back and the trace is refused;
4. the values of a step are placeholders: whoever looks at one refuses the trace, also where the cell catches the error.

So a step can depend on nothing but its arguments and on what was read, and that is the same at every step; and as long as it is the same
at the next call, so is the trace. That two traces are equal proves nothing and is not asked. A refusal leaves everything as it was, the
user's random numbers too, and reading writes nothing: what another thread changes meanwhile stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy

from .. import tree
from ..cleanup import with_cleanup
from ..errors import TraceError
from ..reading.closure import Closure, closure_of
from ..reading.objects import Unreadable
from ..tape import Node, Tracing, no_grad, now, recording
from ..user_code import line_of
from .flow import Flow
from .program import Trace, capture, placeholder, tracing
from .watch import Watch

Cell = Callable[[Any, Any], tuple[Any, Any]]


@dataclass
class TracedCell:
    """A cell's trace, and what it depends on.

    Attributes:
        trace: the program of a step.
        y: the nesting of the cell's output.
        parts, names, every: what the cell could read, as :class:`~tinygrad_rnn.reading.closure.Closure` has it.
        looked: tensors from outside whose values the cell looked at, with these values.
        settled: whether the trace holds as long as all of that is the same.
        plans: by what is asked for.
        flows: by which operands need a residual.
    """

    trace: Trace
    y: Any
    parts: list[Any]
    names: frozenset[str]
    every: bool
    looked: list[tuple[Any, bytes]]
    settled: bool
    plans: dict[Any, Any] = field(default_factory=dict)
    flows: dict[tuple[bool, ...], Flow] = field(default_factory=dict)

    @cached_property
    def key(self) -> Any:
        """Equal for cells that do the same on the same kinds of tensors."""
        return self.trace.program.key()

    def flow(self, needs: tuple[bool, ...]) -> Flow:
        """Which results carry residuals."""
        if needs not in self.flows:
            self.flows[needs] = Flow(self.trace.program, needs)
        return self.flows[needs]

    def holds(self, cell: Cell) -> bool:
        """Whether all that the cell reads is what it was."""
        try:
            unchanged = Closure(cell, self.names, self.every).parts == self.parts
            return unchanged and all(_bytes(x) == content for x, content in self.looked)
        except Unreadable:
            return False


def trace_cell(cell: Cell, xs: Any, state: Any, differentiated: bool) -> TracedCell:
    """Run one step of the cell on placeholders.

    Args:
        differentiated: whether residuals may be asked for: then states carry them.

    Raises:
        TraceError: the cell cannot be compiled; says why, and in which line.
    """
    inputs, states = tree.leaves(xs), tree.leaves(state)
    backend = inputs[0]._backend
    with tracing() as trial, recording() if differentiated else no_grad(), backend.quiet():
        steps = [placeholder(backend.full(x.shape[1:], _poison(x), x.dtype), backend, x.requires_grad) for x in inputs]
        olds = [placeholder(backend.full(s.shape, _poison(s), s.dtype), backend, differentiated and s.dtype.kind == "f") for s in states]
        since = now()
        returned, closure = _called(cell, trial, tree.unflatten(xs, steps), tree.unflatten(state, olds))
        y, results = _checked(returned, state, states)
        trace = capture(results, steps, olds, (), since)
    count = len(results) - len(states)
    trace.program.outputs, trace.program.carried = trace.results[:count], trace.results[count:]
    _refuse_poison(trace, closure)
    looked = [(x, content.tobytes()) for x, content in _on_host(trial)]
    return TracedCell(trace, tree.map_leaves(lambda _leaf: None, y), closure.parts, closure.names, closure.every, looked, closure.settled)


def _called(cell: Cell, trial: Tracing, x: Any, state: Any) -> tuple[Any, Closure]:
    """What the cell returns, and what it can read; everything that it could change is as it was.

    Raises:
        TraceError: it raised an error, or something that a compiled cell cannot do.
    """
    names = frozenset(["forward"])  # what a module's call runs
    while True:
        try:
            closure = closure_of(cell, names)
        except Unreadable as reason:
            raise TraceError(f"the cell reads something that may change: {reason}") from reason
        watch, returned, failure, changed = Watch(closure, trial), None, None, list[str]()
        try:
            returned = with_cleanup(partial(_put_back, closure, trial, changed), watch.call, cell, x, state)
        except Exception as error:
            failure = error
        if watch.unread is None or watch.unread in names:
            break
        names |= {watch.unread}  # a method that runs seldom: read it too, and begin again
        trial.refusal = None
    _refuse(trial.refusal or failure, changed)
    if Closure(cell, closure.names, closure.every).parts != closure.parts:
        raise TraceError("what the cell reads was changed while it was compiled")
    return returned, closure


def _refuse(failure: BaseException | None, changed: Sequence[str]) -> None:
    """
    Raises:
        TraceError: the cell failed, or changed something.
    """
    if failure is not None:
        line = line_of(failure)
        where = "" if line is None else f" ({line.name}, line {line.number}: {line.code})"
        raise TraceError(f"{failure}{where}") from failure
    if "np.random" in changed or "a random number generator" in changed:
        raise TraceError("the cell draws random numbers, from NumPy")
    if changed:
        raise TraceError(f"the cell changes what it reads: {', '.join(changed)}")


def _put_back(closure: Closure, trial: Tracing, changed: list[str]) -> None:
    changed += [*closure.restore(), *_restored(trial)]


def _restored(trial: Tracing) -> list[str]:
    """Put back what was written into tensors whose arrays the cell asked for."""
    changed = []
    for x, before in trial.looked.values():
        if not x._backend.same_bits(x._data, before):
            x._data[...] = before
            changed.append(f"the data of {x.name or 'a tensor'}")
    return changed


def _on_host(trial: Tracing) -> list[tuple[Any, numpy.ndarray]]:
    return [(x, x._backend.to_host(before)) for x, before in trial.looked.values()]


def _bytes(x: Any) -> bytes:
    return bytes(x._backend.to_host(x._data).tobytes())


def _checked(returned: Any, state: Any, states: Sequence[Any]) -> tuple[Any, list[Any]]:
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise TraceError("the cell does not return a pair: its output and its new state")
    y, new = returned
    results = [*tree.leaves(y), *tree.leaves(new)]
    if not all(isinstance(r, Node) for r in results):
        raise TraceError("the cell returns something that is not a tensor")
    kinds = [[(tuple(s.shape), s.dtype) for s in leaves] for leaves in (results[len(results) - len(states) :], states)]
    if tree.structure(new) != tree.structure(state) or kinds[0] != kinds[1]:
        raise TraceError("the cell changes the nesting, a shape or a dtype of its state")
    return y, results


def _refuse_poison(trace: Trace, closure: Closure) -> None:
    """What differs from step to step must not have become a constant: placeholders hold NaN."""
    known = {part for part in closure.parts if type(part) is int}
    made = [x for x in trace.outside if id(x) not in known and x.entry is None and x.dtype.kind == "f"]
    if any(numpy.isnan(x._backend.to_host(x._data)).any() for x in made):
        raise TraceError("the cell makes a constant of what differs from step to step")


def _poison(x: Any) -> Any:
    """A value that shows if it gets out of the trace."""
    return numpy.nan if x.dtype.kind == "f" else 0
