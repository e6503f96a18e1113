"""Run a plan as loop nests: in machine code, or, with calls between, step by step."""

from __future__ import annotations

import itertools
import math
from typing import Any

from ..backends import Array
from ..backends.atoms import DTYPES
from ..backends.native import thresholds
from ..backends.native.compiler import compiled
from ..backends.native.loops import Endings, tile_height, tile_width
from ..backends.native.memory import address, aligned, keep_memory, numbers
from ..backends.native.threads import gang, gather, run_parallel, shares, threads
from ..chain_rule.routing import Contracted
from .columns import Columns
from .half_writer import HalfWriter, text_of
from .laid_out_run import LaidOutRun
from .nest_layout import NestLayout, Part
from .nests import SLOTS, Buffer
from .plan import Plan
from .program import Number, on_arrays


class NestPlan(NestLayout):
    """The layout and the machine code of a plan.

    Raises:
        Unsupported: one of its rows cannot be written as loops.
    """

    def __init__(self, plan: Plan) -> None:
        keep_memory()
        super().__init__(plan, tile_width)
        by_columns = _reads_much(plan)
        self._lay_out(by_samples=not by_columns)
        columns = self._columns()
        if by_columns and not any(columns.values()):
            self._lay_out()
            columns = self._columns()
        self._compile(columns)

    def _columns(self) -> dict[str, Columns | None]:
        return {name: columns_of(part, self.samples) for name, part in self.parts.items()}

    def _compile(self, columns: dict[str, Columns | None]) -> None:
        parts, endings = self.parts, Endings()
        writers = {}
        for name, part in parts.items():
            assert part.nests is not None
            writer = HalfWriter(
                name, part.nests.elements, part.nests, self.samples, endings, columns=columns[name]
            )
            writers[writer], part.nests = len(part.buffers), None
        names = {
            name: [name] if not part.calls else [f"{name}{i}" for i in range(len(part.calls) + 2)]
            for name, part in parts.items()
        }
        addresses = compiled(text_of(writers, endings), tuple(itertools.chain(*names.values())))
        for name, part in parts.items():
            part.addresses = [addresses[function] for function in names[name]]
        self.calls: list[tuple[str, str, str]] = [
            (i.row.name, "the array module's function does it", "")
            for part in parts.values()
            for i in part.calls
        ]

    def shared(self, part: Part) -> str:
        if any(part.calls for part in self.parts.values()):
            return "on one thread, beside calls"
        rows = any(len(self.program.shapes[v]) > 1 for v in (*self.program.steps, *self.program.states))
        mixed = f", since {self.mixed} lets samples see each other" if self.mixed and rows else ""
        if self.samples > 1:
            return "threads share the samples"
        if part.gang == 1:
            return f"on one thread{mixed}"
        waits = f"{part.waits} wait{'s' * (part.waits != 1)} a step"
        return f"threads share the columns, {waits}{mixed}"


class NestRun(LaidOutRun):
    """One scan in machine code."""

    def _call(
        self,
        part: Part,
        arrays: dict[int, Array],
        times: tuple[int, int],
        order: tuple[int, int],
        products: Any,
    ) -> bool:
        arrays, shards, words = arrays | part.tables, self._shards(part), None
        if part.gang > 1:
            arrays.update((b.number, memory_of(b)) for b in part.buffers if b.number not in arrays)
            words = gang(len(shards))
        parts, held = [], []
        for shard, samples in enumerate(shards):
            own = {}
            for buffer in part.buffers:
                array = arrays.get(buffer.number)
                if array is None:  # nothing before and after the loop
                    array = memory_of(buffer)
                elif buffer.own and words is None:
                    array = array[shard, ...]
                own[buffer.number] = array
            flag = numbers([0])
            further = [flag.buffer_info()[0], *([] if words is None else [address(words)])]
            table = numbers([*(address(own[buffer.number]) for buffer in part.buffers), *further])
            parts.append((table.buffer_info()[0], self.steps, *times, *order, *samples))
            held.append((own, table, flag, words))
        if part.calls:
            self._between_calls(part, held[0][0], parts[0])
        elif words is not None and len(parts) > 1:
            if products is not None:
                products.wait()
            gather(part.addresses[0], [given for *given, _, _ in parts], words)
        elif products is not None:
            products.after(part.addresses[0], parts, held)
            return True  # the forward half saw them
        else:
            run_parallel(part.addresses[0], parts)
        return not any(flag[0] for _, _, flag, _ in held)

    def _between_calls(self, part: Part, arrays: dict[int, Array], arguments: tuple[int, ...]) -> None:
        """Step by step: stretches of machine code, and rows that are called between them."""
        table, steps, t, dt, at, dat, *samples = arguments
        once, first, *others = part.addresses
        run_parallel(once, [(table, 1, t, 0, at, 0, *samples)])
        call = on_arrays(self.backend)
        for step in range(steps):
            now = t + step * dt, at + step * dat
            run_parallel(first, [(table, 1, now[0], 0, now[1], 0, *samples)])
            for instruction, address_after in zip(part.calls, others, strict=True):
                xs = [
                    x.value if isinstance(x, Number) else self._view(part, arrays, x, *now)
                    for x in instruction.operands
                ]
                self._view(part, arrays, instruction.results[0], *now)[...] = call(
                    instruction.row, xs, instruction.params
                )
                run_parallel(address_after, [(table, 1, now[0], 0, now[1], 0, *samples)])

    def _view(self, part: Part, arrays: dict[int, Array], v: int, t: int, at: int) -> Array:
        """A value in memory at a step."""
        home, shape = part.views[v]
        array = arrays[home.buffer.number]
        if home.slot != "fixed":
            counter, further, turns = SLOTS[home.slot]
            slot = {"t": t, "at": at}[counter] + further
            array = array[slot % 2 if turns else slot, ...]
        return array.reshape(shape)

    def _shards(self, part: Part) -> list[tuple[int, int]]:
        """The samples of each thread; or, where they share columns, its number and how many there are."""
        backwards = part is not self.laid.forward
        pays = thresholds.PARALLEL_BACKWARD_MIN_WORK if backwards else thresholds.PARALLEL_FORWARD_MIN_WORK
        alone = bool(part.calls) or part.work * self.length <= pays
        if part.gang > 1:
            many = 1 if alone else min(threads(), part.gang)
            return [(i, many) for i in range(many)]
        return samples_of_threads(self.laid.samples, alone)

    def _threads(self, part: Part) -> int:
        return len(self._shards(part))

    def _room(self, v: int, slots: int) -> Array:
        program = self.laid.program
        return aligned((slots, *program.shapes[v]), program.dtypes[v])[0]


def _reads_much(plan: Plan) -> bool:
    """Whether products of a step read so much of weights, for so few rows, that it pays to have each of them
    read by one thread only."""
    program = plan.joint
    factors = {
        x
        for i in program.instructions
        if isinstance(i.row.loops, Contracted) or i.row.permutes
        for x in i.operands
    }
    read = sum(
        math.prod(program.shapes[v]) * program.dtypes[v].itemsize for v in program.fixed if v in factors
    )
    rows = max((n for v in program.states for n in program.shapes[v][:1]), default=1)
    return read > thresholds.NEAR_BYTES * rows // 4


def columns_of(part: Part, samples: int) -> Columns | None:
    """How threads share the columns of a half, if they can and there are no samples to share."""
    assert part.nests is not None
    if samples > 1 or part.calls:
        return None
    columns = Columns(part.nests, max(tile_width(kind, 1) for kind in ("f32", "f64")))
    part.gang, part.waits = columns.most, columns.waits_a_step
    return columns if columns.most > 1 else None


def memory_of(buffer: Buffer) -> Array:
    return aligned((buffer.size,), DTYPES[buffer.kind])[0]


def samples_of_threads(samples: int, alone: bool) -> list[tuple[int, int]]:
    """The first sample of each thread and the end of its samples: whole tiles of rows."""
    rows = tile_height(samples)
    tiles = -(-samples // rows)
    return [
        (rows * first, min(rows * last, samples))
        for first, last in shares(tiles, 1 if alone else max(1, min(threads(), tiles)))
    ]
