"""Names of the source in the book: {source}`tape/record.py:apply` is a function in a file of the package. One
that is not there is a warning, which ends the build.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes

PACKAGE = Path(__file__).parent.parent / "tinygrad_rnn"


def missing(text: str) -> str:
    """What a name of the source lacks; nothing where there is such a file, and such a name in it.

    Args:
        text: "folder/", "folder/file.py" or "folder/file.py:name"; "Class.name" for a method.
    """
    path, _, name = text.partition(":")
    if not (PACKAGE / path).exists():
        return f"there is no {path} in {PACKAGE.name}/"
    return f"{path} has no {name}" if name and name not in _names(PACKAGE / path) else ""


@functools.cache
def _names(path: Path) -> set[str]:
    return set(_defined(ast.parse(path.read_text(encoding="utf-8")).body))


def _defined(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    """Functions, classes and variables, and those of classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield within + node.name
        if isinstance(node, ast.ClassDef):
            yield from _defined(node.body, f"{within}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (within + target.id for target in targets if isinstance(target, ast.Name))


def role(
    name: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """The name as it is written."""
    problem = missing(text)
    warnings = [inliner.reporter.warning(problem, line=line)] if problem else []
    return [nodes.literal(raw, text)], warnings
