"""Tracing a cell: its code is run once, on placeholders, and what it recorded is the program of every step.

What is promised: a trace that is not refused does at every step what the cell's own code would do. It holds
because

1. all that the cell can read is known before it runs (:mod:`tinygrad_rnn.reading.closure`: variables,
   globals, attributes, contents of arrays and containers, states of random number generators), and a cell
   that could read something else is refused by its name;
2. what it calls is seen before it happens (:mod:`.watch`): what may give something else each time (a clock, a
   file, a random number) refuses the trace before it is done;
3. the places that its code can write to, and all arrays, containers and random number generators that it can
   read, are compared after the trace: if it wrote to one, that is put back and the trace is refused;
4. the values of a step are placeholders: whoever looks at one refuses the trace, also where the cell catches
   the error.

So a step can depend on nothing but its arguments and on what was read, and that is the same at every step;
and as long as it is the same at the next call, so is the trace. Nobody else's code runs meanwhile: the
garbage collector, whose hooks it could be, waits. That two traces are equal proves nothing and is not asked.
A refusal leaves everything as it was, the user's random numbers too, and reading writes nothing: an attribute
that another thread changes meanwhile stays changed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any

import numpy

from .. import tree
from ..caches import Recent
from ..cleanup import no_collection, with_cleanup
from ..errors import TraceError
from ..reading.attributes import Attributes, attributes_of
from ..reading.closure import Closure, closure_of
from ..reading.objects import Unreadable
from ..tape import Node, Refused, Tracing, no_grad, now, recording
from ..user_code import Line, line_of, line_that_names
from .doubts import asked_of_tensors, refuse_first
from .flow import Flow
from .numbers import Form, Key, form_of
from .program import Program, Trace, capture, placeholder, tracing
from .watch import CARRIED, DRAWN_BEFORE, Watch

Cell = Callable[[Any, Any], tuple[Any, Any]]


@dataclass(frozen=True)
class Reading:
    """What a cell could read when it was traced.

    Attributes:
        parts, names, every, contents: as :class:`~tinygrad_rnn.reading.closure.Closure` has it.
        settled: whether what was learnt holds as long as all of that is the same.
    """

    parts: list[Any]
    names: frozenset[str]
    every: bool
    contents: dict[int, Any]
    settled: bool

    def again(self, cell: Cell) -> Closure | None:
        """What the cell reads now, if it is what it was."""
        if not self.settled:
            return None
        try:
            closure = Closure(cell, self.names, self.every, contents=self.contents)
        except Unreadable:
            return None
        return closure if closure.parts == self.parts else None


@dataclass
class TracedCell:
    """A cell's trace, and what it depends on.

    Attributes:
        trace: the program of a step.
        y: the nesting of the cell's output.
        reading: what the cell could read.
        places: of each tensor that the program uses beside its arguments: the number that it has among those
            that the cell reads; or itself, where the cell made it.
        asked: what the cell asks of its state besides its value.
        looked: such tensors whose values the cell looked at, with these values.
        form: the program that is planned, and the numbers that it takes.
        flows: by which operands need a residual.
        attributes: all that the cell reads, where that are attributes of its own.
    """

    trace: Trace
    y: Any
    reading: Reading
    places: list[Any]
    asked: frozenset[str]
    looked: list[tuple[Any, bytes]]
    form: Form
    flows: Recent[tuple[bool, ...], Flow] = field(default_factory=lambda: Recent(64))
    attributes: Attributes | None = None

    def flow(self, needs: tuple[bool, ...]) -> Flow:
        """Which results carry residuals."""
        return self.flows.get(needs) or self.flows.share(needs, Flow(self.trace.program, needs))

    def bound(self, cell: Cell, states: Sequence[Any]) -> list[Any] | None:
        """The tensors that the program uses beside its arguments, as the cell has them now, if all that it
        reads is what it was.

        Raises:
            TraceError: with the states that it gets now it cannot be compiled; says why.
        """
        outside = None if self.attributes is None else self.attributes.weights(cell)
        if outside is not None:
            return outside
        closure = self.reading.again(cell)
        if closure is None:
            return None
        if self.looked and any(
            _bytes(_at(place, closure.tensors)) != content for place, content in self.looked
        ):
            return None
        if self.asked:
            refuse_first(self.asked, closure, states)
        tensors = closure.tensors
        outside = [tensors[place] if type(place) is int else place for place in self.places]
        self.look_at(cell, outside)
        return outside

    def look_at(self, cell: Cell, outside: Sequence[Any]) -> None:
        """Note the cell's attributes, if a look at them tells whether all that it reads is what it was."""
        if self.reading.settled and not (self.asked or self.looked):
            self.attributes = attributes_of(cell, outside)


@dataclass
class Attempt:
    """An attempt to trace a cell.

    Attributes:
        names: of attributes that the cell is known to read.
        reading: what the cell could read; None if it is no promise for the next attempt.
    """

    names: frozenset[str] = frozenset()
    reading: Reading | None = None


def _at(place: Any, tensors: Sequence[Any]) -> Any:
    return tensors[place] if type(place) is int else place


def trace_cell(
    cell: Cell, xs: Any, state: Any, differentiated: bool, attempt: Attempt | None = None
) -> TracedCell:
    """Run one step of the cell on placeholders.

    Args:
        differentiated: whether residuals may be asked for: then states carry them.
        attempt: what is known of the cell, and where it is noted what it reads, also if it is refused.

    Raises:
        TraceError: the cell cannot be compiled; says why, and in which line.
    """
    inputs, states = tree.leaves(xs), tree.leaves(state)
    attempt = Attempt() if attempt is None else attempt
    backend = inputs[0]._backend
    with no_collection(), tracing() as trial, recording() if differentiated else no_grad(), backend.quiet():
        steps = [
            placeholder(backend.full(x.shape[1:], poison(x), x.dtype), backend, x.requires_grad)
            for x in inputs
        ]
        olds = [
            placeholder(
                backend.full(s.shape, poison(s), s.dtype), backend, differentiated and s.dtype.kind == "f"
            )
            for s in states
        ]
        since = now()
        returned, closure = traced_call(
            cell, trial, tree.unflatten(xs, steps), tree.unflatten(state, olds), states, attempt
        )
        y, results = _checked(returned, state, states)
        asked = asked_of_tensors(closure)
        if "name" in asked and any(
            x.name is not None for x in (*olds, *results[len(results) - len(states) :])
        ):
            raise TraceError(
                "the cell gives its state a name: that of the first step may be another one",
                "name it after the scan",
            )
        trace = capture(results, steps, olds, (), since)
    count = len(results) - len(states)
    trace.program.outputs, trace.program.carried = trace.results[:count], trace.results[count:]
    numbers = {id(x): number for number, x in enumerate(closure.tensors)}
    _refuse_poison(trace, numbers)
    looked = [(numbers.get(id(x), x), content.tobytes()) for x, content in _on_host(trial)]
    places = [numbers.get(id(x), x) for x in trace.outside]
    assert attempt.reading is not None
    traced = TracedCell(
        trace,
        tree.map_leaves(lambda _leaf: None, y),
        attempt.reading,
        places,
        asked,
        looked,
        form_of(trace.program),
    )
    traced.look_at(cell, trace.outside)
    return traced


def cell_of(program: Program) -> TracedCell:
    """A program of ours as a traced cell: it reads nothing, and its outputs are a list."""
    trace = Trace(
        program,
        [],
        [*program.outputs, *program.carried],
        [],
        [None] * len(program.instructions),
        {},
        [None] * len(program.instructions),
    )
    reading = Reading([], frozenset(), False, {}, True)
    return TracedCell(
        trace,
        [None] * len(program.outputs),
        reading,
        [],
        frozenset(),
        [],
        Form(program, [], Key(program.key())),
    )


def traced_call(
    cell: Cell, trial: Tracing, x: Any, state: Any, first: Sequence[Any], attempt: Attempt
) -> tuple[Any, Closure]:
    """What the cell returns, and what it can read; everything that it could change is as it was.

    Args:
        first: the tensors of the state before the first step.

    Raises:
        TraceError: it raised an error, or something that a compiled cell cannot do.
    """
    names = attempt.names | {"forward"}  # what a module's call runs
    while True:
        try:
            closure = closure_of(cell, names)
        except Unreadable as reason:
            raise TraceError(f"the cell reads something that may change: {reason}") from reason
        refuse_first(asked_of_tensors(closure), closure, first)
        watch, returned, failure, changed = Watch(closure, trial), list[Any](), None, list[str]()
        try:
            with_cleanup(
                partial(_put_back, closure, trial, changed, returned), _run, returned, watch, cell, x, state
            )
        except Refused:
            pass
        except Exception as error:
            failure = error
        known = closure.names if watch.unread is None else closure.names | {watch.unread}
        if known == closure.names and closure.absent.isdisjoint(sys.modules):
            break
        # a method that runs seldom, or a module that nobody had imported: read it too, and begin again
        names, trial.refusal = known, None
    settled = closure.settled and (
        not trial.looked or (failure is None and trial.refusal is None and not changed)
    )
    attempt.reading = Reading(closure.parts, closure.names, closure.every, closure.contents, settled)
    _refuse(trial, failure, changed, closure.codes)
    if Closure(cell, closure.names, closure.every, contents=closure.contents).parts != closure.parts:
        attempt.reading = None  # another thread did it, perhaps
        raise TraceError("what the cell reads was changed while it was compiled")
    return returned[0], closure


def _run(returned: list[Any], watch: Watch, cell: Cell, x: Any, state: Any) -> None:
    returned.append(watch.call(cell, x, state))


def _refuse(
    trial: Tracing, failure: BaseException | None, changed: Sequence[str], codes: Iterable[CodeType]
) -> None:
    """
    Args:
        changed: what the cell changed, in words.
        codes: what it may have run.

    Raises:
        TraceError: the cell failed, or changed something.
    """
    if trial.refusal is not None:
        raise TraceError(trial.refusal.reason + _where(trial.line), trial.refusal.advice) from trial.refusal
    if failure is not None:
        raise TraceError(f"{failure}{_where(line_of(failure))}") from failure
    if "random" in changed:
        where = _where(line_that_names(codes, ["random"]))
        raise TraceError(f"the cell draws random numbers, from random{where}", DRAWN_BEFORE)
    if "np.random" in changed or "a random number generator" in changed:
        where = _where(line_that_names(codes, ["random"]))
        raise TraceError(f"the cell draws random numbers, from NumPy{where}", DRAWN_BEFORE)
    if changed:
        where = _where(line_that_names(codes, [what.rpartition(" ")[2] for what in changed]))
        raise TraceError(f"the cell changes what it reads: {', '.join(changed)}{where}", CARRIED)


def _where(line: Line | None) -> str:
    return "" if line is None else f" ({line.name}, line {line.number}: {line.code})"


def _put_back(closure: Closure, trial: Tracing, changed: list[str], returned: Sequence[Any]) -> None:
    changed += [*closure.restore(), *_restored(trial)]
    if changed or trial.refusal or not returned:
        closure.forget()


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
    kinds = [
        [(tuple(s.shape), s.dtype) for s in leaves]
        for leaves in (results[len(results) - len(states) :], states)
    ]
    if tree.structure(new) != tree.structure(state) or kinds[0] != kinds[1]:
        raise TraceError("the cell changes the nesting, a shape or a dtype of its state")
    return y, results


def _refuse_poison(trace: Trace, known: Container[int]) -> None:
    """What differs from step to step must not have become a constant: placeholders hold NaN."""
    made = [x for x in trace.outside if id(x) not in known and x.entry is None and x.dtype.kind == "f"]
    if any(numpy.isnan(x._backend.to_host(x._data)).any() for x in made):
        raise TraceError("the cell makes a constant of what differs from step to step")


def poison(x: Any) -> Any:
    """A value that shows if it gets out of the trace."""
    return numpy.nan if x.dtype.kind == "f" else 0
