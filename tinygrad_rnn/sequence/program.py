"""One step of a cell as a straight-line program of rows, got by running the cell's own code on
placeholders."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import tree
from ..backends import Backend
from ..chain_rule import Row
from ..errors import TinygradRNNError, TraceError
from ..reading.lines import line_of_entry
from ..tape import (
    ARRAY_ERRORS,
    Block,
    Entry,
    Key,
    Node,
    Refused,
    Replay,
    Scope,
    Tracing,
    apply,
    by_sight,
    explained,
    in_scope,
    key_of,
    thread,
)
from ..user_code import Line

Apply = Callable[[Row, Sequence[Any], tuple[Any, ...]], Any]


@dataclass(frozen=True)
class Number:
    """A Python number as an operand."""

    value: float


@dataclass(frozen=True)
class Instruction:
    """One row applied: which values go in and come out; ``stopped`` where no residual passes: a choice, or
    what the cell detached."""

    row: Row
    operands: tuple[Any, ...]
    params: tuple[Any, ...]
    results: tuple[int, ...]
    stopped: bool = False


@dataclass
class Program:
    """Values are numbered: first the inputs, then what the instructions make, in order.

    Attributes:
        shapes, dtypes: of every value.
        steps: the inputs that differ from step to step.
        states: the inputs that the step before made.
        fixed: the inputs that are the same at every step.
        instructions: in order.
        outputs: the values that leave the step.
        carried: the values that become the next step's states.
    """

    shapes: list[tuple[int, ...]] = field(default_factory=list)
    dtypes: list[Any] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)
    states: list[int] = field(default_factory=list)
    fixed: list[int] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    carried: list[int] = field(default_factory=list)

    def value(self, shape: tuple[int, ...], dtype: Any) -> int:
        self.shapes.append(tuple(shape))
        self.dtypes.append(dtype)
        return len(self.shapes) - 1

    def bytes_of(self, values: Iterable[int]) -> int:
        return sum(math.prod(self.shapes[v]) * self.dtypes[v].itemsize for v in values)

    def producers(self) -> dict[int, Instruction]:
        return {result: instruction for instruction in self.instructions for result in instruction.results}

    def key(self) -> Any:
        """Equal for programs that do the same."""
        return (
            tuple(self.shapes),
            tuple(dtype.str for dtype in self.dtypes),
            tuple(self.steps),
            tuple(self.states),
            tuple(self.fixed),
            tuple(
                (i.row.name, tuple(map(_operand, i.operands)), _hashable(i.params), i.results, i.stopped)
                for i in self.instructions
            ),
            tuple(self.outputs),
            tuple(self.carried),
        )

    def run(
        self, values: dict[int, Any], apply: Apply, instructions: Any = None, stopped: Apply | None = None
    ) -> None:
        """Interpret instructions on whatever ``apply`` works on; stopped ones by a function of their own
        where there is one."""
        for instruction in self.instructions if instructions is None else instructions:
            call = stopped if stopped is not None and instruction.stopped else apply
            xs = [ref.value if type(ref) is Number else values[ref] for ref in instruction.operands]
            y = call(instruction.row, xs, instruction.params)
            if instruction.row.several:
                values.update(zip(instruction.results, y, strict=True))
            else:
                values[instruction.results[0]] = y


def on_arrays(backend: Backend) -> Apply:
    """What applies rows to arrays, with nothing recorded."""

    def apply(row: Row, xs: Sequence[Any], params: tuple[Any, ...]) -> Any:
        try:
            return row.forward(backend, xs, params) if row.variadic else row.forward(backend, *xs, *params)
        except TinygradRNNError:
            raise
        except ARRAY_ERRORS as error:
            raise explained(error, row, xs, params) from error

    return apply


def _hashable(params: Any) -> Any:
    return by_sight(params, lambda owner, array: owner.to_host(array).tobytes())


def _operand(ref: Any) -> Any:
    return ("number", _hashable(ref.value)) if isinstance(ref, Number) else ref


class tracing(Block):
    """A block in which every operation is recorded and no value may be looked at.

    Raises:
        TraceError: one was.
    """

    def __init__(self) -> None:
        self._tracing = Tracing()
        super().__init__(tracing=self._tracing)

    def __enter__(self) -> Tracing:
        super().__enter__()
        assert thread.tracing is not None
        return thread.tracing

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        if isinstance(exception[1], Refused) and self._tracing.refusal is not None:
            raise self._tracing.refusal from None


_PLACE = Replay("placeholder")


def placeholder(array: Any, backend: Any, requires_grad: bool) -> Any:
    """A tensor that stands for what a step will hold."""
    entry = Entry(_PLACE, backend, (), (), (), (), (array,), Scope("trace", None, None))
    return Node.result_type(array, backend, requires_grad, entry, 0)


@dataclass
class Trace:
    """A traced function: its program, and the tensors that took part.

    Attributes:
        program: what it does.
        outside: the tensors that it used beside its arguments, the last ones of ``program.fixed``.
        results: the numbers of what it returned.
        indices: the place on the tape of each instruction.
        lines: the user's line of each instruction, where the trace was made in a block of
            :class:`~tinygrad_rnn.reading.lines.Lines`.
        names: the ``.name`` that the code gave to values that it made.
        calls: of each instruction that a function made of several recorded, which call, and its name.
    """

    program: Program
    outside: list[Any]
    results: list[Any]
    indices: list[int]
    lines: list[Line | None]
    names: dict[int, str]
    calls: list[tuple[int, str] | None]

    def as_cell(
        self, state: Any, outside: Sequence[Any], lines: Sequence[Line | None]
    ) -> Callable[[Any, Any], Any]:
        """The program of a step as a cell: (x, state) to a list of outputs and the new state, recorded.

        Args:
            state: nested as the cell's.
            outside: in place of the tensors that it used beside its arguments.
            lines: the user's line of each instruction, as far as it is known.
        """
        program = self.program

        def step(x: Any, old: Any) -> Any:
            places = (*program.steps, *program.states, *program.fixed)
            values = dict(zip(places, (*tree.leaves(x), *tree.leaves(old), *outside), strict=True))
            waiting, calls = iter(lines), iter(self.calls)
            scopes = {call: Scope("function", call[1], thread.scope) for call in self.calls if call}

            def applied(row: Row, xs: Sequence[Any], params: tuple[Any, ...], constant: bool = False) -> Any:
                thread.line, call = next(waiting) or False, next(calls)
                if call is None:
                    return apply(row, xs, params, constant)
                return in_scope(scopes[call], apply, row, xs, params, constant)

            with Block(line=False):
                program.run(values, applied, stopped=partial(applied, constant=True))
            for v, name in self.names.items():
                values[v].name = name
            new = tree.unflatten(state, [values[v] for v in program.carried])
            return [values[v] for v in program.outputs], new

        return step


def capture(
    results: Sequence[Any], steps: Sequence[Any], states: Sequence[Any], fixed: Sequence[Any], since: int
) -> Trace:
    """Read the program off the tape that leads to results."""
    program = Program()
    number: dict[Key, int] = {}
    names: dict[int, str] = {}
    outside: list[Any] = []
    for group, nodes in ((program.steps, steps), (program.states, states), (program.fixed, fixed)):
        for node in nodes:
            number[key_of(node)] = program.value(node._data.shape, node._data.dtype)
            group.append(number[key_of(node)])

    def ref(x: Any) -> Any:
        if not isinstance(x, Node):
            return Number(x)
        key = key_of(x)
        if key not in number:
            if x.entry is not None and (
                x.entry.index > since
                or (x.entry.scope is not None and x.entry.scope.within("trace") is not None)
            ):
                raise TraceError("the cell kept a tensor from another step", "carry it in the state")
            number[key] = program.value(x._data.shape, x._data.dtype)
            program.fixed.append(number[key])
            outside.append(x)
        elif x.name and x.entry is not None and x.entry.index > since:
            names[number[key]] = x.name
        return number[key]

    entries = _entries(results, since)
    for entry in entries:
        if isinstance(entry.row, Replay):
            raise TraceError(
                f"the cell holds a program that is run again in the backward pass: {entry.row.name}",
                "give scan checkpoint= instead",
            )
        operands = tuple(ref(x) for x in entry.inputs)
        made_here = tuple(program.value(y.shape, y.dtype) for y in entry.ys)
        number.update(((entry.index, position), result) for position, result in enumerate(made_here))
        program.instructions.append(
            Instruction(entry.row, operands, entry.params, made_here, not any(entry.needs))
        )
    numbers = [ref(node) for node in results]
    indices, lines = [entry.index for entry in entries], [line_of_entry(entry) for entry in entries]
    scopes = [None if entry.scope is None else entry.scope.within("function") for entry in entries]
    calls = [None if scope is None else (scope.start, str(scope.label)) for scope in scopes]
    return Trace(program, outside, numbers, indices, lines, names, calls)


def _entries(results: Sequence[Any], since: int) -> list[Entry]:
    """All entries after ``since`` that lead to results, in order, also those without a residual."""
    found: dict[int, Entry] = {}
    todo = [node.entry for node in results if node.entry is not None]
    while todo:
        entry = todo.pop()
        if entry.index > since and entry.index not in found:
            found[entry.index] = entry
            todo.extend(x.entry for x in entry.inputs if isinstance(x, Node) and x.entry is not None)
    return [found[index] for index in sorted(found)]
