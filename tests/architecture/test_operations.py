"""What is special about an operation stands in its row."""

from __future__ import annotations

import ast
import importlib
import types

import pytest

from tests.architecture.source import MODULES, room, tree_of
from tinygrad_rnn import chain_rule
from tinygrad_rnn.chain_rule import Row

CALLERS = {"chain_rule", "ops", "derived", "tensor", "selfcheck"}
"""Rooms that have operations by name: rules, functions that call them, and operands to try each with."""

TRANSLATIONS = {"interop.onnx.writing.rows"}
"""Tables of operations in other languages. Each has a test that no operation is missing:
``tests/interop/test_onnx_rows.py``."""


def _names_of_rows(tree: ast.Module) -> tuple[set[str], set[str]]:
    """What a module calls rows, and modules of rows."""
    rows, modules = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("chain_rule"):
            module = importlib.import_module(f"tinygrad_rnn.{node.module}")
            for alias in node.names:
                thing = getattr(module, alias.name)
                if isinstance(thing, (Row, dict)):
                    rows.add(alias.asname or alias.name)
                elif isinstance(thing, types.ModuleType):
                    modules.add(alias.asname or alias.name)
    return rows, modules


def _operations_told_apart(tree: ast.Module) -> list[str]:
    """Where code asks which operation something is: compares it, or looks it up, by row or by name."""
    rows, modules = _names_of_rows(tree)

    def is_row(node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute):
            owner = getattr(node.value, "attr", getattr(node.value, "id", ""))
            return (node.attr == "name" and owner == "row") or (
                node.attr.isupper() and getattr(node.value, "id", "") in modules
            )
        return isinstance(node, ast.Name) and node.id in rows

    def has_row(*parts: ast.AST | None) -> bool:
        return any(is_row(node) for part in parts if part is not None for node in ast.walk(part))

    asked = []
    for node in ast.walk(tree):
        if (
            (isinstance(node, ast.Compare) and has_row(node))
            or (isinstance(node, ast.Dict) and has_row(*node.keys))
            or (isinstance(node, ast.Set) and has_row(node))
            or (isinstance(node, ast.Subscript) and has_row(node.value, node.slice))
            or (isinstance(node, ast.MatchValue) and has_row(node.value))
            or (
                isinstance(node, ast.Call)
                and getattr(node.func, "attr", "") in ("get", "startswith", "endswith")
                and has_row(*node.args, node.func)
            )
        ):
            asked.append(f"line {node.lineno}: {ast.unparse(node)}")
        if isinstance(node, ast.Dict) and len(node.keys) > 2:
            keys = [key.value for key in node.keys if isinstance(key, ast.Constant)]
            if len(keys) == len(node.keys) and all(key in chain_rule.rows for key in keys):
                asked.append(f"line {node.lineno}: a table of operations")
    return asked


@pytest.mark.parametrize(
    "name", [name for name in MODULES if room(name) not in CALLERS and name not in TRANSLATIONS]
)
def test_what_is_special_about_an_operation_stands_in_its_row(name: str) -> None:
    """Whoever asks whether an operation is ``matmul`` misses the next one that is like it."""
    assert _operations_told_apart(tree_of(name)) == []


@pytest.mark.parametrize(
    "code",
    [
        "from .chain_rule.weighting import MATMUL\nx = entry.row is MATMUL",
        "from .chain_rule.weighting import MATMUL as M\nx = {rule(row) for row in rows} == {M}",
        "from .chain_rule import addition as a\nx = row in (a.ADD, a.SUBTRACT)",
        "from .chain_rule.addition import ADD\nx = {ADD: 1}",
        "from .chain_rule import rows\nx = rows['add']",
        "x = entry.row.name == 'add'",
        "x = RULES.get(row.name)",
        "x = {'sum': 1, 'reshape': 2, 'pad': 3}",
    ],
)
def test_who_asks_which_operation_something_is_is_found(code: str) -> None:
    assert _operations_told_apart(ast.parse(code)) != []
