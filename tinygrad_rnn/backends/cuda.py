"""Kernels for the CuPy backend: CUDA C text, which CuPy compiles at the first launch and keeps on disk.

The text holds no sizes, so layers of one structure share one kernel, whatever their sizes. All kernels have one form: blocks run over rows
of the batch and, where no sum over a row is needed, over columns; the threads of a block run over columns. A sum over a row is made by the
one block that owns the row, always in the same order.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from .base import Unsupported

C_TYPES = {"float": "float", "double": "double", "i8": "bool"}
"""What a buffer's kind is called in C."""

LARGEST_BLOCK = 256
LARGEST_GRID = 65535
"""Of blocks over rows: what every device takes in the second direction."""


def block_of(width: int) -> int:
    """Threads in a block for rows of that width: a power of two, as sums over a row need, and whole warps."""
    return min(LARGEST_BLOCK, max(32, 1 << (width - 1).bit_length()))


def kernel(name: str, kind: str, pointers: Sequence[str], sizes: Sequence[str], body: Sequence[str]) -> str:
    """The text of a kernel.

    Args:
        kind: of its floating-point numbers.
        pointers: its parameters of that kind, declared.
        sizes: the names of its whole numbers.
        body: what is done for one row, number b. It may call ``row_sum`` where one block does all of the row.
    """
    parameters = ", ".join([*pointers, *(f"long long {size}" for size in sizes)])
    summing = any("row_sum(" in line for line in body)
    lines = [
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

# -- one row on one element -----------------------------------------------------------------------------------------------------------

_COMPARISONS = {"equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}
_LOGIC = {"logical_and": "{0} && {1}", "logical_or": "{0} || {1}", "logical_xor": "{0} != {1}", "logical_not": "!{0}"}
_TESTS = {"isnan": "{0} != {0}", "isfinite": "{0} - {0} == 0", "isinf": "{0} == {0} && {0} - {0} != 0"}
_FORMULAS = {
    "add": "{0} + {1}",
    "subtract": "{0} - {1}",
    "multiply": "{0} * {1}",
    "negative": "-{0}",
    "reciprocal": "1 / {0}",
    "sigmoid": "1 / (1 + exp{f}(-{0}))",
    "softplus": "({0} > 0 ? {0} : 0) + log1p{f}(exp{f}(-fabs{f}({0})))",
    "relu": "{0} < 0 ? 0 : {0}",
    "sign": "{0} > 0 ? 1 : {0} < 0 ? -1 : {0}",
    "maximum": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "minimum": "{0} < {1} || {0} != {0} ? {0} : {1}",
}
"""Whole numbers stand for themselves in either precision; {f} is the ending of functions in float32."""
_SAME_NAME = "tanh exp exp2 expm1 log log2 log10 log1p sqrt cbrt sin cos tan sinh cosh erf floor ceil rint trunc hypot"
_FUNCTIONS = {name: name for name in _SAME_NAME.split()} | {
    "abs": "fabs", "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "arctan2": "atan2", "power": "pow",
}  # fmt: skip


class Emitter:
    """Writes lines of a kernel; values are (name or literal, "float", "double" or "bool")."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.ending = "f" if kind == "float" else ""
        self.lines: list[str] = []
        self._count = 0

    @contextlib.contextmanager
    def into(self, lines: list[str]) -> Iterator[None]:
        """A block that writes elsewhere."""
        before, self.lines = self.lines, lines
        try:
            yield
        finally:
            self.lines = before

    def fresh(self, hint: str) -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def let(self, kind: str, expression: str) -> tuple[str, str]:
        name = self.fresh("v")
        self.lines.append(f"const {kind} {name} = {expression};")
        return name, kind

    def number(self, value: float) -> tuple[str, str]:
        """A literal; the compiler of kernels knows no name for infinity."""
        value = float(numpy.float32(value)) if self.kind == "float" else float(value)
        if numpy.isfinite(value):
            text = f"{value!r}{self.ending}"
            return text if value >= 0 else f"({text})", self.kind
        return f"({0 if value != value else 1 if value > 0 else -1}.0{self.ending} / 0.0{self.ending})", self.kind

    def real(self, value: tuple[str, str]) -> str:
        """A value as a number: true is 1."""
        return value[0] if value[1] != "bool" else f"({self.kind}){value[0]}"

    def truth(self, value: tuple[str, str]) -> str:
        """A value as a condition."""
        return value[0] if value[1] == "bool" else f"({value[0]} != 0)"

    def apply(self, name: str, operands: Sequence[tuple[str, str]], params: tuple[Any, ...]) -> tuple[str, str]:
        """One row.

        Raises:
            Unsupported: it has no formula here.
        """
        if name == "where":
            return self.let(self.kind, f"{self.truth(operands[0])} ? {self.real(operands[1])} : {self.real(operands[2])}")
        if name in _LOGIC:
            return self.let("bool", _LOGIC[name].format(*map(self.truth, operands)))
        xs = [self.real(x) for x in operands]
        if name in _COMPARISONS:
            return self.let("bool", f"{xs[0]} {_COMPARISONS[name]} {xs[1]}")
        if name in _TESTS:
            return self.let("bool", _TESTS[name].format(*xs))
        if name in _FORMULAS:
            return self.let(self.kind, _FORMULAS[name].format(*xs, f=self.ending))
        if name in _FUNCTIONS:
            return self.let(self.kind, f"{_FUNCTIONS[name]}{self.ending}({', '.join(xs)})")
        if name == "astype" and params[0].kind == "f":
            return self.let(self.kind, xs[0])
        if name == "clip":
            return self._clip(xs[0], *params)
        if name == "raise_to":
            return self.let(self.kind, self._power(xs[0], *params))
        raise Unsupported(f"the operation {name!r}")

    def _clip(self, x: str, low: float | None, high: float | None) -> tuple[str, str]:
        for bound, wrong in ((low, "<"), (high, ">")):
            if bound is not None:
                literal = self.number(bound)[0]
                x = self.let(self.kind, f"{x} {wrong} {literal} ? {literal} : {x}")[0]
        return x, self.kind

    def _power(self, x: str, exponent: float) -> str:
        if exponent in (1, 2, 3, 4):
            return " * ".join([x] * int(exponent))
        if exponent == 0.5:
            return f"sqrt{self.ending}({x})"
        return f"1 / {x}" if exponent == -1 else f"pow{self.ending}({x}, {self.number(exponent)[0]})"
