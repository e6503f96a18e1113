"""Kernels for the CuPy backend: CUDA C text, which CuPy compiles at the first launch and keeps on disk.

The text holds no sizes, so layers of one structure share one kernel, whatever their sizes. All kernels have one form: blocks run over rows
of the batch and, where no sum over a row is needed, over columns; the threads of a block run over columns. A sum over a row is made by the
one block that owns the row, always in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from .c import CPrinter

C_TYPES = {"float": "float", "double": "double", "i8": "bool"}
"""What a buffer's kind is called in C."""

LARGEST_BLOCK = 1024
LARGEST_GRID = 65535
"""Of blocks over rows: what every device takes in the second direction."""


def block_of(width: int) -> int:
    """Threads in a block for rows of that width: a power of two, as sums over a row need, and whole warps."""
    return min(LARGEST_BLOCK, max(32, 1 << (width - 1).bit_length()))


def kernel(name: str, kind: str, pointers: Sequence[str], sizes: Sequence[str], tables: Sequence[str], body: Sequence[str]) -> str:
    """The text of a kernel.

    Args:
        kind: of its floating-point numbers.
        pointers: its parameters of that kind, declared.
        sizes: the names of its whole numbers.
        tables: that it looks up in, declared.
        body: what is done for one row, number b. It may call ``row_sum`` where one block does all of the row.
    """
    parameters = ", ".join([*pointers, *(f"long long {size}" for size in sizes)])
    summing = any("row_sum(" in line for line in body)
    lines = [
        *tables,
        *([_ROW_SUM.replace("real", kind).replace("LARGEST_BLOCK", str(LARGEST_BLOCK))] if summing else []),
        f'extern "C" __global__ void {name}({parameters}) {{',
        "  for (long long b = blockIdx.y; b < rows; b += gridDim.y) {",
        *(f"    {line}" for line in body),
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def loop(length: str, body: Sequence[str]) -> list[str]:
    """What is done for one column, number j."""
    head = f"for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < {length}; j += gridDim.x * blockDim.x) {{"
    return [head, *(f"  {line}" for line in body), "}"]


_ROW_SUM = """\
__device__ real row_sum(real x) {
  __shared__ real part[LARGEST_BLOCK];
  part[threadIdx.x] = x;
  __syncthreads();
  for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) part[threadIdx.x] += part[threadIdx.x + half];
    __syncthreads();
  }
  const real total = part[0];
  __syncthreads();  // the next sum overwrites the parts
  return total;
}
"""

# -- atoms ----------------------------------------------------------------------------------------------------------------------------


class Emitter(CPrinter):
    """Writes lines of a kernel.

    Args:
        kind: C's name of its floating-point numbers.
    """

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

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.float = "f32" if kind == "float" else "f64"
