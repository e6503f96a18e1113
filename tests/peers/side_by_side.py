"""The pages *from PyTorch*, *from Keras* and *from JAX*: their code and the rows of their tables.

What a table compares is said by the header of its third column:

    (none)   what the two lines give
    on       two layers, called with what stands there
    then     what stands there, after the two lines
    runs     nothing: both lines must run

A cell begins with its line of code; words may follow.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
KINDS = ("", "on", "then", "runs")
_BLOCK = re.compile(
    r"^```\{code-(block|cell)\} python\n(?::tags: .*?\n\n)?(.*?)^```$", re.MULTILINE | re.DOTALL
)
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Row:
    """Two lines of code that do the same."""

    line: int
    kind: str
    theirs: str
    ours: str
    third: str

    def __str__(self) -> str:
        return f"{self.line}: {self.theirs}"


@dataclass(frozen=True)
class Page:
    """A page: what prepares the names of its tables, on both sides; its rows; its model, on both sides."""

    name: str

    @property
    def text(self) -> str:
        return (DOCS / f"{self.name}.md").read_text(encoding="utf-8")

    def blocks(self) -> list[tuple[str, str]]:
        """Pieces of code, as ("theirs" or "ours", code), in their order."""
        return [("theirs" if kind == "block" else "ours", code) for kind, code in _BLOCK.findall(self.text)]

    def preparation(self) -> list[tuple[str, str]]:
        """The pieces up to ours after their first: what the names in the tables are."""
        pieces = self.blocks()
        first = [side for side, _ in pieces].index("theirs")
        return pieces[: first + 2]

    def rows(self) -> Iterator[Row]:
        """The rows of all tables.

        Raises:
            ValueError: a table is of no known kind, or a cell has no code.
        """
        lines = self.text.splitlines()
        for i, line in enumerate(lines):
            if line.startswith("|---"):
                kind = _kind(lines[i - 1])
                for j in range(i + 1, len(lines)):
                    if not lines[j].startswith("|"):
                        break
                    yield _row(j + 1, kind, _cells(lines[j]))


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split(" | ")]


def _kind(header: str) -> str:
    heads = _cells(header)
    kind = heads[2] if len(heads) == 3 else ""
    if len(heads) not in (2, 3) or heads[1] != "tinygrad_rnn" or kind not in KINDS:
        raise ValueError(f"a table of no known kind: {header}")
    return kind


def _row(line: int, kind: str, cells: list[str]) -> Row:
    codes = [_CODE.match(cell) for cell in cells[:2]]
    third = _CODE.match(cells[2]) if kind in ("on", "then") else None
    if None in codes or (kind in ("on", "then") and third is None):
        raise ValueError(f"line {line}: a cell without code")
    theirs, ours = (code.group(1) for code in codes if code)
    return Row(line, kind, theirs, ours, third.group(1) if third else "")


def value_of(code: str, names: dict[str, Any]) -> Any:
    """What a line gives: the value of its last expression, None after a statement."""
    tree = ast.parse(code)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(code, names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "<row>", "exec"), names)
    return eval(compile(ast.Expression(last.value), "<row>", "eval"), names)
