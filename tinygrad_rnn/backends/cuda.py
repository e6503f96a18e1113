"""Kernels for the CuPy backend: CUDA C text, which CuPy compiles at the first launch and keeps on disk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .c import CPrinter

LARGEST_BLOCK = 1024
"""Threads that a block has at most, on every device."""


def block_of(width: int) -> int:
    """Threads in a block for loops of that length: a power of two, and whole warps."""
    return min(LARGEST_BLOCK, max(32, 1 << (width - 1).bit_length()))


def kernel(name: str, threads: int, parameters: Sequence[str], body: Sequence[str]) -> list[str]:
    """The lines of a kernel for blocks of at most so many threads. The compiler must know how many: else it
    may give each thread so many registers that a block of them cannot be launched."""
    return [
        f'extern "C" __global__ void __launch_bounds__({threads}) {name}({", ".join(parameters)}) {{',
        *body,
        "}",
    ]


# -- atoms ---------------------------------------------------------------------------------------------------


class Emitter(CPrinter):
    """Writes lines of a kernel."""

    ATOMS: ClassVar[dict[str, str]] = CPrinter.ATOMS | {
        # by name: the compiler joins what is written with signs
        **{f"{name}.f32": f"__f{name}_rn({{0}}, {{1}})" for name in ("add", "sub", "mul")},
        **{f"{name}.f64": f"__d{name}_rn({{0}}, {{1}})" for name in ("add", "sub", "mul")},
        "bits.f32": "__float_as_int({0})",
        "bits.f64": "__double_as_longlong({0})",
        "floating.i32": "__int_as_float({0})",
        "floating.i64": "__longlong_as_double({0})",
    }
    TABLE: ClassVar[str] = "__device__ const"
