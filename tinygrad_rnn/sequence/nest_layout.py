"""A plan as loop nests: where its values lie, and the nests of both halves. Any cell whose rows say how they
are written as loops, of any shapes and dtypes.

Threads, or blocks of a device, share the samples of the batch where no sample sees another; else one does it
all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy

from ..backends import Array
from ..backends.atoms import kind_of
from ..backends.base import Unsupported
from .batch import PARTIAL, Axes, Batch, Mixed
from .contractions import Contraction
from .elements import Elements
from .gradient_terms import GradientTerm
from .hoist import ancestors
from .nest_planner import Nests, TileWidth
from .nests import Buffer, Call, Place, Target, work_of
from .plan import Plan
from .program import Instruction, Number, Program

MADE_AGAIN = 12
"""Atoms that the backward half makes again, instead of reading what was kept."""


@dataclass
class Part:
    """One half.

    Attributes:
        buffers: all that it uses, by number.
        nests: what it does; nothing once its code is made.
        tables: arrays of places that it reads.
        calls: rows that are called.
        views: where the values lie that they read and make, and their shapes.
        count, products, work: how many nests a step has, how many of them are products, and about how many
            multiplications it takes.
        prepares: whether something is done once, before the loop.
        reads: the values that it reads from memory.
        gang: how many threads may share its columns.
        waits: how often these wait for each other in a step.
        addresses: of its function; where rows are called, of what is done once and of the stretches between
            calls.
    """

    buffers: list[Buffer]
    nests: Nests | None
    tables: dict[int, Array]
    calls: list[Instruction]
    views: dict[int, tuple[Place, tuple[int, ...]]]
    count: int
    products: int
    work: int
    prepares: bool
    reads: set[int]
    addresses: list[int] = field(default_factory=list)
    gang: int = 1
    waits: int = 0


class NestLayout:
    """The layout of a plan.

    Args:
        tile_width: the columns of a tile of products of a kind, for so many rows; None where none are made.

    Attributes:
        planner: plans the nests of a half.
        transposed: matrices of which the transpose lies in memory.
        mixed: what lets samples see each other, "" where nothing does.

    Raises:
        Unsupported: one of its rows cannot be written as loops.
    """

    planner: ClassVar[type[Nests]] = Nests

    def __init__(self, plan: Plan, tile_width: TileWidth | None) -> None:
        self._tile_width = tile_width
        self.mixed: str = ""
        self.plan = plan
        self.program: Program = plan.joint
        self.transposed: set[int] = plan.transposed
        self.training: bool = plan.differentiated
        for shape, dtype in zip(self.program.shapes, self.program.dtypes, strict=True):
            kind_of(dtype)
            if 0 in shape:
                raise Unsupported(f"a value of shape {shape}")

    def _lay_out(self, by_samples: bool = True) -> None:
        """Lay out both halves, with the samples to be shared where they can be and ought to be."""
        for samples in self._batches() if by_samples else ():
            try:
                self._halves(samples)
                break
            except Mixed as reason:
                self.mixed = reason.name
        else:
            self._halves(1)

    @property
    def parts(self) -> dict[str, Part]:
        """The halves that there are, by name."""
        return {"forward": self.forward} | ({"backward": self.backward} if self.training else {})

    def _batches(self) -> list[int]:
        """How many samples there may be: as many as a first axis is long, the fewest first, since several
        places may be one sample's."""
        program = self.program
        return sorted({n for v in (*program.steps, *program.states) for n in program.shapes[v][:1]} - {1})

    def _halves(self, samples: int) -> None:
        """Lay out both halves.

        Raises:
            Mixed: the samples meet.
        """
        self.samples = samples
        shapes, program = self.program.shapes, self.program
        self.axes: Axes = dict.fromkeys(range(len(shapes)))
        if samples > 1:
            self.axes |= {
                v: 0 for v in (*program.steps, *program.states) if shapes[v] and shapes[v][0] % samples == 0
            }
        self._forward()
        if self.training:
            self._backward()

    def described(self) -> list[str]:
        """A line for each half."""
        return [
            f"  {name:<10} {self._counted(part)}, {self.shared(part)}" for name, part in self.parts.items()
        ]

    @property
    def held(self) -> list[int]:
        """As of a plan; states are not kept twice."""
        later = self.backward.reads.union(self.gathered)
        return [*(v for v in self.plan.made_before if v in later), *self.program.states, *self.kept]

    @property
    def returned(self) -> list[int]:
        """As of a plan."""
        there = {*self.held, *self.program.steps, *self.program.carried, *self.plan.output_residuals}
        made = dict.fromkeys([*self.plan.step_residuals, *self.gathered])
        return [v for v in made if v is not None and v not in there]

    def _counted(self, part: Part) -> str:
        nests = f"{part.count} loop nest{'s' * (part.count != 1)}"
        return (
            f"{nests}, {part.products} of them product{'s' * (part.products != 1)}"
            if part.products
            else nests
        )

    def shared(self, part: Part) -> str:
        """Who shares the work of a half, in words."""
        raise NotImplementedError

    # -- where values lie ------------------------------------------------------------------------------------

    def _new(self, buffers: list[Buffer], v: int) -> Buffer:
        return self._buffer(buffers, kind_of(self.program.dtypes[v]), math.prod(self.program.shapes[v]))

    def _buffer(self, buffers: list[Buffer], kind: str, size: int) -> Buffer:
        buffers.append(Buffer(len(buffers), kind, size))
        return buffers[-1]

    def _own(self, buffer: Buffer, v: int, slots: int) -> None:
        """What takes turns and has no samples is each thread's own: threads are at different steps."""
        if self.samples > 1 and self.axes[v] is None:
            buffer.own = slots * buffer.size

    def _inputs(self, buffers: list[Buffer]) -> dict[int, Place]:
        program = self.program
        places = {v: Place(self._new(buffers, v), "time") for v in program.steps}
        return places | {v: Place(self._new(buffers, v), "fixed") for v in program.fixed}

    def _forward(self) -> None:
        plan, program = self.plan, self.program
        buffers: list[Buffer] = []
        places = self._inputs(buffers)
        self.forward_inputs: dict[int, Place] = places
        before, after = ("before", "after") if self.training else ("this", "other")
        targets: list[Target] = []
        self.states: list[Buffer] = []
        for v, new in zip(program.states, program.carried, strict=True):
            places = places | {v: Place(self._new(buffers, v), before)}
            self.states.append(places[v].buffer)
            self._own(places[v].buffer, v, 0 if self.training else 2)
            targets.append(Target(new, Place(places[v].buffer, after)))
        # all states are kept anyway
        outputs = [v for v in dict.fromkeys(program.outputs) if not (self.training and v in program.carried)]
        self.outputs: dict[int, Buffer] = {v: self._new(buffers, v) for v in outputs}
        targets += [Target(v, Place(buffer, "time")) for v, buffer in self.outputs.items()]
        self.kept: dict[int, Buffer] = {v: self._new(buffers, v) for v in self._kept()}
        targets += [Target(v, Place(buffer, "time")) for v, buffer in self.kept.items()]
        self.forward: Part = self._part(
            plan.forward, places, targets, list(zip(program.carried, program.states, strict=True)), buffers
        )

    def _kept(self) -> list[int]:
        """What the backward half gets from the forward one: what costs much to make again, and what the rest
        is made from."""
        plan, program = self.plan, self.program
        if not self.training:
            return []
        known = {*program.steps, *program.states, *program.fixed, *program.carried}
        elements = Elements(program, plan.forward, known, self.transposed)
        gathered = {v for term in plan.all_terms if term.gathered for v in term.values}
        kept, atoms = [], dict.fromkeys(known, 0)
        for instruction in elements.instructions:
            again = elements.atoms_again(instruction, atoms)
            for v in instruction.results:
                if v not in known and again is not None and again <= MADE_AGAIN and v not in gathered:
                    atoms[v] = again
                elif v not in known and v in plan.kept:
                    kept.append(v)
                    atoms[v] = 0
        return kept

    def _backward(self) -> None:
        plan, program = self.plan, self.program
        buffers: list[Buffer] = []
        places = self._inputs(buffers)
        self.backward_inputs: dict[int, Place] = dict(places)
        self.back_states: list[Buffer] = []
        for v, new in zip(program.states, program.carried, strict=True):
            self.back_states.append(self._new(buffers, v))
            places[v] = Place(self.back_states[-1], "before")
            places.setdefault(new, Place(self.back_states[-1], "after"))
        self.back_kept: dict[int, Buffer] = {v: self._new(buffers, v) for v in self.kept}
        places |= {v: Place(buffer, "time") for v, buffer in self.back_kept.items()}
        pairs = zip(
            (*plan.output_residuals, *plan.carried_residuals),
            (*program.outputs, *program.states),
            strict=True,
        )
        self.axes |= {g: self.axes[v] for g, v in pairs if g is not None}
        self.arriving: list[Buffer | None] = [
            None if v is None else self._new(buffers, v) for v in plan.output_residuals
        ]
        for g, buffer in zip(plan.output_residuals, self.arriving, strict=True):
            if g is not None and buffer is not None:
                places[g] = Place(buffer, "time")
        targets: list[Target] = []
        self.carries: list[Buffer | None] = []
        for arriving, leaving, v in zip(
            plan.carried_residuals, plan.state_residuals, program.states, strict=True
        ):
            like = leaving if arriving is None else arriving
            buffer = None if like is None else self._new(buffers, like)
            self.carries.append(buffer)
            if buffer is None or like is None:
                continue
            self._own(buffer, v, 2)
            if arriving is not None:
                places[arriving] = Place(buffer, "other")
            targets.append(Target(leaving, Place(buffer, "this"), like=like))
        self.leaving: list[Buffer | None] = [
            None if r is None else self._new(buffers, r) for r in plan.step_residuals
        ]
        for r, buffer in zip(plan.step_residuals, self.leaving, strict=True):
            if r is not None and buffer is not None:
                targets.append(Target(r, Place(buffer, "time")))
        targets += self._terms(buffers, places)
        code = ancestors(
            program, [w.value for w in targets if w.value is not None], lambda v: v not in places
        )
        self.backward: Part = self._part(
            code, places, targets, list(zip(plan.state_residuals, program.states, strict=True)), buffers
        )
        for term, buffer in self.added.items():
            if self.axes[term.values[0]] == PARTIAL:
                buffer.own = buffer.size

    def _terms(self, buffers: list[Buffer], places: dict[int, Place]) -> list[Target]:
        """What weights get: the operands of products are gathered, everything else is added up."""
        targets: list[Target] = []
        steps = zip(self.plan.step_residuals, self.leaving, strict=True)
        there = places | {
            r: Place(buffer, "time") for r, buffer in steps if r is not None and buffer is not None
        }
        self.gathered: dict[int, Place] = {}
        self.added: dict[GradientTerm, Buffer] = {}
        for term in self.plan.all_terms:
            if term.gathered:
                for v in term.values:
                    if v in there and there[v].slot in ("time", "before", "after"):
                        self.gathered[v] = there[v]
                    elif v not in self.gathered:
                        self.gathered[v] = Place(self._new(buffers, v), "time")
                        targets.append(Target(v, self.gathered[v]))
            else:
                self.added[term] = self._new(buffers, term.values[0])
                targets.append(Target(term.values[0], Place(self.added[term], "fixed"), added=True))
        return targets

    # -- code ------------------------------------------------------------------------------------------------

    def _part(
        self,
        instructions: Sequence[Instruction],
        places: dict[int, Place],
        targets: list[Target],
        turns: Sequence[tuple[int | None, int]],
        buffers: list[Buffer],
    ) -> Part:
        elements = Elements(self.program, instructions, set(places), self.transposed)
        batch: dict[int, int] = {}
        if self.samples > 1:
            samples = Batch(elements, self.samples, {v: self.axes[v] for v in places})
            self.axes |= samples.axes
            self._check(targets, turns)
            batch = samples.along
        nests = self.planner(elements, places, targets, batch, buffers, self._tile_width)
        arrays = {}
        for result, number in elements.tables.items():
            table = numpy.ascontiguousarray(elements.places(elements.made[result].instruction), numpy.int64)
            nests.homes[number] = Place(self._buffer(buffers, "i64", table.size), "fixed")
            arrays[nests.homes[number].buffer.number] = table
        calls = [nest.instruction for nest in nests.stages if isinstance(nest, Call)]
        values = {x for call in calls for x in (*call.operands, *call.results) if not isinstance(x, Number)}
        views = {v: (nests.homes[v], elements.shapes[v]) for v in values}
        products = sum(isinstance(nest, Contraction) for nest in nests.stages)
        return Part(
            buffers,
            nests,
            arrays,
            calls,
            views,
            len(nests.stages),
            products,
            work_of(nests.stages),
            bool(nests.prologue),
            nests.read,
        )

    def _check(self, targets: Sequence[Target], turns: Sequence[tuple[int | None, int]]) -> None:
        """See that every sample leaves where it belongs.

        Args:
            turns: what comes in the place of what, at the next step.

        Raises:
            Mixed: one does not.
        """
        for w in targets:
            axis = None if w.value is None else self.axes[w.value]
            if (w.added and axis is None) or (not w.added and axis == PARTIAL):
                raise Mixed
        for v, home in turns:
            if v is not None and self.axes[v] != self.axes[home]:
                raise Mixed
