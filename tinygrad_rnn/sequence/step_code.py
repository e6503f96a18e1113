"""A step of a cell as lines of C, and what they read: the same plan as that of a stepper, laid out for one
processor without anything around it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy

from .. import tree
from ..backends import Backend
from ..backends.atoms import kind_of
from ..backends.base import Unsupported
from ..chain_rule.routing import Reshaped, Routed
from ..errors import DtypeError, TraceError
from ..tape import Node, no_grad
from .hoist import LoopBody, ancestors, loop_body
from .nest_layout import NestLayout
from .nest_planner import Nests
from .nests import Buffer
from .normal_form import normal_form
from .plan import Plan, make_plan
from .program import Instruction, Program, on_arrays
from .step_writer import StepNests, StepPrinter, StepWriter, Stored, shortest
from .trace import TracedCell
from .traces import traced_cell

Quantise = Callable[[numpy.ndarray], "tuple[numpy.ndarray, numpy.ndarray] | None"]
"""From a weight to whole numbers, as floats, and the factor of each, broadcast; None where it stays."""


class _Layout(NestLayout):
    """One step after another, on one thread."""

    planner: ClassVar[type[Nests]] = StepNests

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, None)
        self._lay_out(by_samples=False)


@dataclass
class Leaf:
    """An array that goes in or comes out.

    Attributes:
        name: what it is called in the lines.
        kind: of its numbers.
        shape: its axes.
        first: what it is before the first step, of a state.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    first: numpy.ndarray | None = None

    @property
    def size(self) -> int:
        return int(numpy.prod(self.shape))


@dataclass
class StepCode:
    """A step as a block of C.

    It reads inputs and ``state->…``, and makes arrays of its own, of which ``made`` are the outputs and the
    new states, in their order: so inputs may lie where outputs go, and a step that is refused changes
    nothing.

    Attributes:
        printer: names its kinds of numbers and has its tables.
        lines: what it does.
        stored: what it reads that is the same at every step.
        scratch: its own arrays.
    """

    printer: StepPrinter
    inputs: list[Leaf]
    outputs: list[Leaf]
    states: list[Leaf]
    made: list[str]
    lines: list[str] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    scratch: list[Leaf] = field(default_factory=list)


def write_step(
    cell: Any, x: Any, state: Any, prefix: str, refusal: str, quantise: Quantise | None = None
) -> StepCode:
    """Write a step of a cell.

    Args:
        x: nested tensors like those that it will get.
        state: before the first step, nested tensors.
        prefix: what the names of helpers and of stored arrays begin with.
        refusal: C that ends the step where a whole number names no element.
        quantise: what becomes of weights: of tensors that the cell reads.

    Raises:
        TraceError: the cell cannot be traced, or is not all loops; says why.
        DtypeError: what it reads or makes is of a dtype that is not written.
    """
    xs = tree.map_leaves(lambda leaf: Node.result_type(leaf._data[None], leaf._backend), x)
    inputs, states = tree.leaves(x), tree.leaves(state)
    for what, leaves in (("the input", inputs), ("the state", states)):
        for leaf in leaves:
            _check_dtype(what, leaf.dtype)
    with no_grad():
        traced, outside = traced_cell(cell, xs, state, tree.leaves(xs), states)
        try:
            return _Step(traced, inputs, states, outside, prefix, refusal, quantise).code
        except Unsupported as reason:
            raise TraceError(f"the cell cannot be written in C: {reason.what}", reason.advice) from reason


def _check_dtype(what: str, dtype: Any) -> None:
    if dtype.kind == "f" and dtype != numpy.float32:
        raise DtypeError(f"{what} is {dtype}: C is written for float32; convert it with .astype('float32')")


class _Step:
    def __init__(
        self,
        traced: TracedCell,
        inputs: Sequence[Any],
        states: Sequence[Any],
        outside: Sequence[Any],
        prefix: str,
        refusal: str,
        quantise: Quantise | None,
    ) -> None:
        self._backend = inputs[0]._backend
        self._prefix = prefix
        program = normal_form(traced.form.program, [False] * (len(inputs) + len(states) + len(outside)))
        body = loop_body(program, hoists=False, merges=False)
        plan = make_plan(body, self._backend, None)
        plan.check()
        layout = _Layout(plan)
        if quantise is not None and traced.looked:
            raise TraceError("the cell looks at its weights, which become others", "keep them as float32")
        # not what the cell makes of arrays: nobody could round that, and compare
        kept = [type(place) is not int for place in traced.places] + [True] * len(traced.form.numbers)
        rounded = [None if keep else quantise for keep in kept]
        fixed = self._fixed(layout, body, outside, traced.form.numbers, rounded)
        self.code: StepCode = self._code(layout, body, states)
        self._write(layout, fixed, refusal)

    # -- what is the same at every step ----------------------------------------------------------------------

    def _fixed(
        self,
        layout: _Layout,
        body: LoopBody,
        outside: Sequence[Any],
        numbers: Sequence[Any],
        rounded: Sequence[Quantise | None],
    ) -> list[Stored]:
        """What the loop's fixed values are, as they lie in memory.

        Args:
            rounded: for each tensor from outside and each number what rounds it.
        """
        backend, whole = self._backend, body.whole
        for x in outside:
            _check_dtype(f"the weight {x.name}" if x.name else "a weight", x.dtype)
        given = [*(backend.to_host(x._data) for x in outside), *numbers]
        parts = [None if how is None else how(array) for how, array in zip(rounded, given, strict=True)]
        weights = [a if p is None else p[0] * p[1] for a, p in zip(given, parts, strict=True)]
        found = []
        for i, (v, (source,)) in enumerate(zip(layout.program.fixed, body.invariant, strict=True)):
            leads = ancestors(whole, [source])
            made = _Made(whole, source, leads, v in layout.transposed, backend)
            array = made.of(weights)
            stored = Stored(f"{self._prefix}_w{i}", kind_of(array.dtype), shortest(array))
            reads = {x for one in leads for x in one.operands if type(x) is int} or {source}
            pairs = [p for w, p in zip(whole.fixed, parts, strict=True) if w in reads]
            # where a weight is only laid out anew, its whole numbers and factors are
            moved = all(isinstance(one.row.loops, (Routed, Reshaped)) for one in leads)
            if moved and pairs and None not in pairs:
                _as_whole_numbers(stored, *(made.of([p and p[which] for p in parts]) for which in (0, 1)))
            found.append(stored)
        return found

    # -- names -----------------------------------------------------------------------------------------------

    def _code(self, layout: _Layout, body: LoopBody, states: Sequence[Any]) -> StepCode:
        program, whole = layout.program, body.whole

        def leaves(name: str, values: Sequence[int], of: Any) -> list[Leaf]:
            return [
                Leaf(name if len(values) == 1 else f"{name}_{i}", kind_of(of.dtypes[v]), of.shapes[v])
                for i, v in enumerate(values)
            ]

        inputs, outputs = leaves("x", whole.steps, whole), leaves("y", program.outputs, program)
        for v in program.outputs:
            _check_dtype("the output", program.dtypes[v])
        own = [
            Leaf(f"s{i}", kind_of(program.dtypes[v]), program.shapes[v], self._backend.to_host(x._data))
            for i, (v, x) in enumerate(zip(program.states, states, strict=True))
        ]
        places = {v: f"made_{i}" for i, v in enumerate(layout.outputs)}
        made = [*(places[v] for v in program.outputs), *(f"next_{i}" for i in range(len(own)))]
        return StepCode(StepPrinter(self._prefix), inputs, outputs, own, made)

    def _write(self, layout: _Layout, fixed: list[Stored], refusal: str) -> None:
        code, part, program = self.code, layout.forward, layout.program
        assert part.nests is not None
        whole = layout.plan.body
        names: dict[tuple[int, str], str] = {}
        stored: dict[int, Stored] = {}
        own: list[tuple[str, Buffer]] = []
        for v, source in zip(program.steps, whole.per_step, strict=True):
            place = layout.forward_inputs[v]
            names[place.buffer.number, place.slot] = code.inputs[whole.whole.steps.index(source)].name
        for v, one in zip(program.fixed, fixed, strict=True):
            stored[layout.forward_inputs[v].buffer.number] = one
        for i, (number, table) in enumerate(part.tables.items()):
            stored[number] = Stored(f"{self._prefix}_t{i}", "i64", shortest(table))
        names.update(((number, "fixed"), one.name) for number, one in stored.items())
        for i, buffer in enumerate(layout.states):
            names[buffer.number, "this"], names[buffer.number, "other"] = f"state->s{i}", f"next_{i}"
            own.append((f"next_{i}", buffer))
        for i, buffer in enumerate(layout.outputs.values()):
            names[buffer.number, "time"] = f"made_{i}"
            own.append((f"made_{i}", buffer))
        for buffer in part.buffers:
            if not any((buffer.number, slot) in names for slot in ("fixed", "time", "this")):
                names[buffer.number, "fixed"] = f"b_{buffer.number}"
                own.append((f"b_{buffer.number}", buffer))
        writer = StepWriter(code.printer, part.nests.elements, part.nests, names, stored, refusal)
        code.lines = _read(writer.lines(), code.made)
        words = {word for line in code.lines for word in _WORD.findall(line)} | {*code.made}
        code.stored = [one for one in stored.values() if one.name in words]
        code.scratch = [Leaf(name, b.kind, (b.size,)) for name, b in own if name in words]


@dataclass
class _Made:
    """What is made from weights once, before all steps.

    Attributes:
        source: its number.
        leads: the instructions that lead to it.
        turned: whether its transpose lies in memory.
    """

    whole: Program
    source: int
    leads: list[Instruction]
    turned: bool
    backend: Backend

    def of(self, weights: Sequence[Any]) -> numpy.ndarray:
        """It, from the weights; some of these may be None where they are not read."""
        pairs = zip(self.whole.fixed, weights, strict=True)
        values = {v: self.backend.from_host(array) for v, array in pairs if array is not None}
        with self.backend.quiet():
            self.whole.run(values, on_arrays(self.backend), self.leads)
        array: numpy.ndarray = self.backend.to_host(self.backend.asarray(values[self.source]))
        return array.T if self.turned else array


_WORD = re.compile(r"\w+")
_NAMED = re.compile(r"const [\w ]+ (\w+) = .*;")


def _read(lines: Sequence[str], made: Sequence[str]) -> list[str]:
    """Without the names that nobody reads, of which a compiler would warn."""
    words, kept = {*made}, []
    for line in reversed(lines):
        named = _NAMED.fullmatch(line)
        if named is None or named[1] in words:
            words.update(_WORD.findall(line.partition("=")[2] if named else line))
            kept.append(line)
    return kept[::-1]


def _as_whole_numbers(stored: Stored, numbers: numpy.ndarray, factors: numpy.ndarray) -> None:
    """Keep a weight as whole numbers and factors along an axis, where that is the same to the last bit."""
    for axis in range(numbers.ndim):
        rest = tuple(i for i in range(numbers.ndim) if i != axis)
        scales = factors.max(axis=rest)
        spread = scales.reshape([-1 if i == axis else 1 for i in range(numbers.ndim)])
        if numpy.array_equal(numbers * spread, stored.array):
            stored.array, stored.scales, stored.axis = numbers.astype(numpy.int8), scales, axis
            return
