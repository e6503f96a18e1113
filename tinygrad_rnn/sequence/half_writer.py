"""A half of a step as functions of LLVM text: the loop over time, and in it calls of the nests in their order."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from ..backends.native.loops import Endings, LoopEmitter, function_text
from .contractions import Contraction
from .elements import Elements
from .nest_planner import Nests
from .nest_writer import NestWriter
from .nests import SLOTS, Call, Nest, Place
from .product_writer import ProductWriter, key_of


class HalfWriter:
    """Writes ``name(table of pointers, T, t of the first step, ±1, place of the first step in the order of running, ±1, first sample, end
    of the samples)``.

    The last pointer is that of a flag, an integer that is set to 1 where a number was out of its range.

    Args:
        apart: whether what is done once is a function of its own.
    """

    def __init__(self, name: str, elements: Elements, nests: Nests, samples: int, endings: Endings, apart: bool = False) -> None:
        self.apart = apart
        self.name, self.elements, self.nests, self.samples, self.endings = name, elements, nests, samples, endings
        self.e = LoopEmitter(endings)
        self._pointers: dict[Place, str] = {}

    def functions(self, buffers: int) -> list[str]:
        """The texts of ``name``; or of ``name0``, what is done once, and of one for each stretch between calls."""
        stages = self.nests.stages
        cuts = [i for i, nest in enumerate(stages) if isinstance(nest, Call)]
        if not cuts and not self.apart:
            return [self._function(self.name, buffers, self.nests.prologue, stages)]
        bounds = itertools.pairwise([-1, *cuts, len(stages)])
        stretches = [stages[first + 1 : last] for first, last in bounds]
        texts = [self._function(f"{self.name}0", buffers, self.nests.prologue, [])]
        return texts + [self._function(f"{self.name}{i + 1}", buffers, [], stretch) for i, stretch in enumerate(stretches)]

    def _function(self, name: str, buffers: int, once: Sequence[Nest], each: Sequence[Nest]) -> str:
        """One function. Every buffer's pointer is loaded at its beginning; those of the step at the beginning of each."""
        prologue, step = self._calls(once), self._calls(each)
        pointers = self._step_pointers()
        bases = []
        for number, register in [*((number, _base(number)) for number in range(buffers)), (buffers, "%flag")]:
            bases += [
                f"{register}.at = getelementptr ptr, ptr %table, i64 {number}",
                f"{register} = load ptr, ptr {register}.at, !invariant.load !{{}}",
            ]
        counters = [
            "%s = phi i64 [ 0, %entry ], [ %s1, %step ]",
            "%t.by = mul i64 %s, %dt",
            "%t = add i64 %t0, %t.by",
            "%at.by = mul i64 %s, %dat",
            "%at = add i64 %at0, %at.by",
        ]
        end = ["%s1 = add i64 %s, 1", "%again = icmp slt i64 %s1, %steps", "br i1 %again, label %step, label %end"]
        lines = ["entry:", *bases, *prologue, "br label %step", "step:", *counters, *pointers, *step, *end, "end:", "ret void"]
        numbers = ", ".join(f"i64 %{number}" for number in ("steps", "t0", "dt", "at0", "dat", "first", "last"))
        return function_text(f"void @{name}(ptr %table, {numbers})", lines)

    def _calls(self, nests: Sequence[Nest]) -> list[str]:
        """Lines that do nests, one after another."""
        self.e.lines, self._pointers = [], {}
        for nest in nests:
            name, pointers = self._product(nest) if isinstance(nest, Contraction) else self._nest(nest)
            self.e.line(f"call void @{name}({', '.join(f'ptr {p}' for p in pointers)}, i64 %first, i64 %last)")
        return self.e.lines

    def _nest(self, nest: Nest) -> tuple[str, list[str]]:
        writer = NestWriter(nest, self.elements, self.nests, self.samples, self.endings)
        name = self.endings.function(writer.key, [*writer.places.values(), "%flag"], lambda: writer.lines)
        return name, [*map(self._pointer, writer.places), "%flag"]

    def _product(self, nest: Contraction) -> tuple[str, list[str]]:
        homes = [self.nests.homes[x.value] for x in nest.operands]
        key = key_of(nest, [home.buffer.kind for home in homes])
        name = self.endings.function(key, ["%a", "%b", "%c"], lambda: ProductWriter(nest, key, self.samples, self.endings).lines())
        operands = zip(homes, nest.operands, strict=True)
        return name, [self.e.address(self._pointer(home), home.buffer.kind, str(x.index.const)) for home, x in operands]

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


def _base(number: int) -> str:
    """Where a buffer begins."""
    return f"%base{number}"


def text_of(writers: Mapping[HalfWriter, int], endings: Endings) -> str:
    """Their functions as one text, for so many buffers each."""
    return "\n".join([*(text for writer, buffers in writers.items() for text in writer.functions(buffers)), endings.text()])
