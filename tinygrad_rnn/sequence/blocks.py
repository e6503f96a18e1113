"""Rows of arrays by machine code: blocks of rows follow one another as the steps of a scan do, and threads
share them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ..backends.atoms import DTYPES, kind_of
from ..backends.base import Unsupported
from ..backends.native.compiler import compiled
from ..backends.native.loops import Endings, tile_width
from ..backends.native.memory import aligned, keep_memory, numbers
from ..backends.native.threads import run_parallel
from .batch import Batch, Mixed
from .elements import Elements
from .half_writer import HalfWriter, text_of
from .hoist import ancestors
from .nest_planner import Nests
from .nests import Buffer, Call, Group, Place, Target
from .program import Program

Part = tuple[Sequence[int], int, int, int, int]
"""Where contiguous arrays begin: of what is known, of what is fixed, and where to put what is wanted, in this
order; how many blocks to do, from which on, and of each of them the rows from the first to before the
last."""


class Blocks:
    """What a program makes of each row of arrays.

    Args:
        program: its values with rows have ``size`` of them, along their first axis.
        known, wanted: values with rows that are there, and that are to be made.
        fixed: values that are there, the same for all rows.

    Attributes:
        one_loop: whether all is made in one loop, which reads all that it needs of a row before it writes any
            of it.

    Raises:
        Unsupported: rows depend on each other, or it takes more than loops.
    """

    def __init__(
        self,
        program: Program,
        size: int,
        known: Sequence[int],
        wanted: Sequence[int],
        fixed: Sequence[int] = (),
    ) -> None:
        keep_memory()
        given = {*known, *fixed}
        elements = Elements(program, ancestors(program, wanted, lambda v: v not in given), given)
        try:
            rows = Batch(elements, size, {**dict.fromkeys(known, 0), **dict.fromkeys(fixed)})
        except Mixed:
            raise Unsupported("rows that depend on each other") from None
        if any(rows.axes[v] != 0 for v in wanted):
            raise Unsupported("rows that depend on each other")
        kinds = [
            (kind_of(program.dtypes[v]), math.prod(program.shapes[v])) for v in (*known, *fixed, *wanted)
        ]
        buffers = [Buffer(number, kind, elements_of) for number, (kind, elements_of) in enumerate(kinds)]
        places = {v: Place(buffer, "time") for v, buffer in zip(known, buffers, strict=False)}
        places |= {v: Place(buffer, "fixed") for v, buffer in zip(fixed, buffers[len(known) :], strict=False)}
        leaving = [
            Target(v, Place(buffer, "time")) for v, buffer in zip(wanted, buffers[len(given) :], strict=True)
        ]
        nests = Nests(elements, places, leaving, rows.along, buffers, tile_width)
        if elements.tables or any(isinstance(nest, Call) for nest in nests.stages):
            raise Unsupported("a row that is called")
        self.one_loop: bool = [*map(type, nests.stages)] == [Group] and not nests.prologue
        self._between = buffers[len(kinds) :]
        self._width = len(buffers) + 5
        endings = Endings()
        writer = HalfWriter("rows", elements, nests, size, endings)
        text = _each(len(buffers) + 1) + text_of({writer: len(buffers)}, endings)
        self._address = compiled(text, ("each",))["each"]

    def run(self, shares: Sequence[Sequence[Part]]) -> None:
        """Have each thread do its share, one part after another."""
        shares = [share for share in shares if share]
        flag = numbers([0])  # that a number names no element, which was looked at before
        scratch, rows = [], list[int]()
        for share in shares:
            between = [aligned((buffer.size,), DTYPES[buffer.kind]) for buffer in self._between]
            scratch.append(between)
            further = [*(at for _, at in between), flag.buffer_info()[0]]
            for pointers, *what in share:
                rows += [*pointers, *further, *what]
        table = numbers(rows)
        place, calls = table.buffer_info()[0], []
        for share in shares:
            calls.append((place, len(share)))
            place += 8 * self._width * len(share)
        if calls:
            run_parallel(self._address, calls)


def _each(pointers: int) -> str:
    """Calls ``rows`` for every part of a share, whose so many pointers lie before its four numbers."""
    what = ("steps", "t0", "first", "last")
    loads = [
        (
            f"  %{name}.at = getelementptr i64, ptr %table, i64 {pointers + i}\n  %{name} = load i64, ptr "
            f"%{name}.at"
        )
        for i, name in enumerate(what)
    ]
    lines = [
        "define void @each(ptr %parts, i64 %count) {",
        "entry:",
        "  br label %part",
        "part:",
        "  %i = phi i64 [ 0, %entry ], [ %i1, %part ]",
        f"  %at = mul i64 %i, {pointers + len(what)}",
        "  %table = getelementptr i64, ptr %parts, i64 %at",
        *loads,
        "  call void @rows(ptr %table, i64 %steps, i64 %t0, i64 1, i64 0, i64 0, i64 %first, i64 %last)",
        "  %i1 = add i64 %i, 1",
        "  %more = icmp slt i64 %i1, %count",
        "  br i1 %more, label %part, label %end",
        *["end:", "  ret void", "}", ""],
    ]
    return "\n".join(lines)
