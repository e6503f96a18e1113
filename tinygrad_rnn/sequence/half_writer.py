"""A half of a step as functions of LLVM text: the loop over time, and in it calls of the nests in their
order."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence

from ..backends.native import team
from ..backends.native.loops import Endings, LoopEmitter, function_text
from .columns import Columns, Split
from .contractions import Contraction
from .elements import Elements
from .nest_planner import Nests
from .nest_writer import NestWriter
from .nests import SLOTS, Call, Nest, Place
from .product_writer import ProductWriter, key_of


class HalfWriter:
    """Writes ``name(table of pointers, T, t of the first step, ±1, place of the first step in the order of
    running, ±1, first sample, end of the samples)``.

    The last pointer is that of a flag, an integer that is set to 1 where a number was out of its range. Where
    threads share columns, the number of the thread and how many there are stand in the place of samples, and
    a further pointer says where they wait for each other.

    Args:
        apart: whether what is done once is a function of its own.
        columns: how threads share columns; None where they do not.
    """

    def __init__(
        self,
        name: str,
        elements: Elements,
        nests: Nests,
        samples: int,
        endings: Endings,
        apart: bool = False,
        columns: Columns | None = None,
    ) -> None:
        self.apart = apart
        self.columns = columns
        self.name = name
        self.elements = elements
        self.nests = nests
        self.samples = samples
        self.endings = endings
        self.e: LoopEmitter = LoopEmitter(endings)
        self._pointers: dict[Place, str] = {}

    def functions(self, buffers: int) -> list[str]:
        """The texts of ``name``; or of ``name0``, what is done once, and of one for each stretch between
        calls."""
        stages = self.nests.stages
        cuts = [i for i, nest in enumerate(stages) if isinstance(nest, Call)]
        if not cuts and not self.apart:
            return [self._function(self.name, buffers, self.nests.prologue, stages)]
        bounds = itertools.pairwise([-1, *cuts, len(stages)])
        stretches = [stages[first + 1 : last] for first, last in bounds]
        texts = [self._function(f"{self.name}0", buffers, self.nests.prologue, [])]
        return texts + [
            self._function(f"{self.name}{i + 1}", buffers, [], stretch) for i, stretch in enumerate(stretches)
        ]

    def _function(self, name: str, buffers: int, once: Sequence[Nest], each: Sequence[Nest]) -> str:
        """One function. Every buffer's pointer is loaded at its beginning; those of the step at the beginning
        of each."""
        prologue = self._calls(once, "entry")
        if self.columns and once:
            prologue.append(_WAIT)
        step = self._calls(each, "step")
        counters_from, pointers = self.e.block, self._step_pointers()
        bases, further = [], ["%flag", "%gang"] if self.columns else ["%flag"]
        for number, register in enumerate([*map(_base, range(buffers)), *further]):
            bases += [
                f"{register}.at = getelementptr ptr, ptr %table, i64 {number}",
                f"{register} = load ptr, ptr {register}.at, !invariant.load !{{}}",
            ]
        counters = [
            f"%s = phi i64 [ 0, %first.step ], [ %s1, %{counters_from} ]",
            "%t.by = mul i64 %s, %dt",
            "%t = add i64 %t0, %t.by",
            "%at.by = mul i64 %s, %dat",
            "%at = add i64 %at0, %at.by",
        ]
        end = [
            "%s1 = add i64 %s, 1",
            "%again = icmp slt i64 %s1, %steps",
            "br i1 %again, label %step, label %end",
        ]
        lines = [
            "entry:",
            *bases,
            *self._known_barrier(),
            *prologue,
            "br label %first.step",
            "first.step:",
            "br label %step",
            "step:",
        ]
        lines += [*counters, *pointers, *step, *end, "end:", "ret void"]
        numbers = ", ".join(
            f"i64 %{number}" for number in ("steps", "t0", "dt", "at0", "dat", "first", "last")
        )
        return function_text(f"void @{name}(ptr %table, {numbers})", lines)

    def _calls(self, nests: Sequence[Nest], block: str) -> list[str]:
        """Lines that do nests, one after another, in a block and those that it opens."""
        e, columns = self.e, self.columns
        e.lines, e.block, self._pointers = [], block, {}
        for nest in nests:
            split = columns.splits.get(id(nest)) if columns else None
            if columns and id(nest) in columns.waits:
                e.line(_WAIT)
            name, pointers = (
                self._product(nest, split) if isinstance(nest, Contraction) else self._nest(nest, split)
            )
            call = f"call void @{name}({', '.join(f'ptr {p}' for p in pointers)}, i64 %first, i64 %last)"
            if columns is None or split is not None:
                e.line(call)
                continue
            alone, after = e.label("alone"), e.label("all")
            e.line(f"br i1 %is.first, label %{alone}, label %{after}")
            e.open(alone)
            e.line(call)
            e.line(f"br label %{after}")
            e.open(after)
        return e.lines

    def _known_barrier(self) -> list[str]:
        if self.columns is None:
            return []
        place = f"%wait.at = getelementptr i64, ptr %gang, i64 {team.GANG['wait']}"
        return [
            place,
            "%wait = load ptr, ptr %wait.at, !invariant.load !{}",
            "%is.first = icmp eq i64 %first, 0",
        ]

    def _nest(self, nest: Nest, split: Split | None) -> tuple[str, list[str]]:
        writer = NestWriter(nest, self.elements, self.nests, self.samples, self.endings, split)
        name = self.endings.function(writer.key, [*writer.places.values(), "%flag"], lambda: writer.lines)
        return name, [*map(self._pointer, writer.places), "%flag"]

    def _product(self, nest: Contraction, split: Split | None) -> tuple[str, list[str]]:
        homes = [self.nests.homes[x.value] for x in nest.operands]
        key = key_of(nest, [home.buffer.kind for home in homes], split)
        writer = functools.partial(ProductWriter, nest, key, self.samples, self.endings, split)
        name = self.endings.function(key, ["%a", "%b", "%c"], lambda: writer().lines())
        operands = zip(homes, nest.operands, strict=True)
        return name, [
            self.e.address(self._pointer(home), home.buffer.kind, str(x.index.const)) for home, x in operands
        ]

    def _step_pointers(self) -> list[str]:
        e = self.e
        e.lines = []
        for place, register in self._pointers.items():
            counter, further, turns = SLOTS[place.slot]
            slot = e.let(f"add i64 %{counter}, {further}")
            if turns:
                slot = e.let(f"and i64 {slot}, 1")
            by = e.let(f"mul i64 {slot}, {place.buffer.size}")
            e.line(f"{register} = {e.offset(_base(place.buffer.number), place.buffer.kind, by)}")
        return e.lines

    def _pointer(self, place: Place) -> str:
        if place.slot == "fixed":
            return _base(place.buffer.number)
        return self._pointers.setdefault(place, f"%p{len(self._pointers)}")


_WAIT = "call void %wait(ptr %gang, i64 %first, i64 %last)"


def _base(number: int) -> str:
    """Where a buffer begins."""
    return f"%base{number}"


def text_of(writers: Mapping[HalfWriter, int], endings: Endings) -> str:
    """Their functions as one text, for so many buffers each."""
    return "\n".join(
        [*(text for writer, buffers in writers.items() for text in writer.functions(buffers)), endings.text()]
    )
