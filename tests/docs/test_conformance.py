"""The table of what can be expressed: each ✓ of ours names tests, and these are there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "conformance.md").read_text(encoding="utf-8")
HEADER = ["", "here", "PyTorch", "Keras", "TensorFlow", "ONNX Runtime", "JAX / Flax"]


def _cells(line):
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


TABLES = [line for line in PAGE.splitlines() if line.startswith("|") and not line.startswith("|---")]
ROWS = {cells[0]: cells for cells in map(_cells, TABLES) if cells != HEADER}


@functools.cache
def _functions(path):
    """The tests of a file."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_the_table_is_read():
    assert len(ROWS) > 40
    assert sum(_cells(line) == HEADER for line in TABLES) == PAGE.count("\n## ")
    assert all(len(cells) == len(HEADER) for cells in ROWS.values())


@pytest.mark.parametrize("feature", ROWS)
def test_each_tick_of_ours_names_its_tests(feature):
    ours, *others = ROWS[feature][1:]
    named = re.findall(r"`([\w/]+\.py)::(test_\w+)`", ours)
    assert named if ours.startswith("✓") else not named
    assert ours.startswith(("✓", "–"))
    for path, test in named:
        assert (TESTS / path).is_file(), path
        assert test in _functions(path), f"{path} has no {test}"
    assert all(others), "an empty cell"
    assert not any("::" in cell for cell in others)
