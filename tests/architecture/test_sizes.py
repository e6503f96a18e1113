"""What can be taken in at once: no file above 400 lines, no function above 60 beside its docstring."""

from __future__ import annotations

import ast

import pytest

from tests.architecture.source import MODULES, tree_of


def length_of(function: ast.FunctionDef) -> int:
    words = (ast.get_docstring(function, clean=False) or "").splitlines()
    return (function.end_lineno or 0) - function.lineno + 1 - len(words)


@pytest.mark.parametrize("name", MODULES)
def test_files_and_functions_are_short(name: str) -> None:
    assert len(MODULES[name].read_text(encoding="utf-8").splitlines()) <= 400
    functions = [node for node in ast.walk(tree_of(name)) if isinstance(node, ast.FunctionDef)]
    assert {one.name: length_of(one) for one in functions if length_of(one) > 60} == {}
