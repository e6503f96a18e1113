"""Run a plan on a device: each half is one kernel, whose blocks share the samples of the batch."""

from __future__ import annotations

from typing import Any

from ..backends import Array, Backend, cuda
from ..backends.atoms import DTYPES
from .kernel_writer import KernelWriter
from .laid_out_run import LaidOutRun
from .nest_layout import NestLayout, Part
from .plan import Plan

MOST_BLOCKS = 256
"""About twice as many as devices have processors."""


class KernelPlan(NestLayout):
    """The layout and the kernels of a plan.

    Raises:
        Unsupported: one of its rows cannot be written as loops.
    """

    calls: tuple[tuple[str, str, str], ...] = ()

    def __init__(self, plan: Plan, backend: Backend) -> None:
        super().__init__(plan, None)
        self._lay_out()
        self.texts: dict[int, tuple[str, str, int]] = {}
        for name, part in self.parts.items():
            part.tables = {number: backend.from_host(table) for number, table in part.tables.items()}
            assert part.nests is not None
            writer = KernelWriter(name, part.nests.elements, part.nests, self.samples)
            text, part.nests = writer.text(part.buffers), None
            self.texts[id(part)] = name, text, writer.block

    @property
    def blocks(self) -> int:
        return min(self.samples, MOST_BLOCKS)

    def shared(self, part: Part) -> str:
        return f"one kernel of {self.blocks} blocks"


class KernelRun(LaidOutRun):
    """One scan in kernels."""

    laid: KernelPlan

    def _call(
        self,
        part: Part,
        arrays: dict[int, Array],
        times: tuple[int, int],
        order: tuple[int, int],
        products: Any,
    ) -> bool:
        backend, blocks = self.backend, self.laid.blocks
        name, text, threads = self.laid.texts[id(part)]
        arrays = arrays | part.tables
        buffers = []
        for buffer in part.buffers:
            array = arrays.get(buffer.number)
            if array is None:  # nothing before and after the loop
                array = backend.empty((max(buffer.size, blocks * buffer.own),), DTYPES[buffer.kind])
            buffers.append(array)
        arguments = (*buffers, self.steps, *times, *order, -(-self.laid.samples // blocks))
        if part.prepares:
            backend.kernel(text, f"{name}_once")((MOST_BLOCKS,), (cuda.LARGEST_BLOCK,), arguments)
        backend.kernel(text, name)((blocks,), (threads,), arguments)
        return True

    def _threads(self, part: Part) -> int:
        return int(self.laid.blocks)

    def _room(self, v: int, slots: int) -> Array:
        program: Any = self.laid.program
        return self.backend.empty((slots, *program.shapes[v]), program.dtypes[v])
