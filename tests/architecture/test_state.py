"""What outlives a call stands in one table."""

from __future__ import annotations

import ast
import importlib

import pytest

from tests.architecture.source import MODULES, called, room, tree_of
from tinygrad_rnn import caches, state

CHANGES = (
    "append", "add", "update", "pop", "popitem", "clear", "setdefault", "extend", "insert", "remove",
    "discard",
)  # fmt: skip
CHANGEABLE = (
    "recent", "Recent", "count", "local", "Lock", "RLock", "WeakSet", "WeakKeyDictionary", "ContextVar",
    "Registry", "default_rng", "_Thread",
)  # fmt: skip
"""What makes something that functions change by methods of its own."""


def _state_of(tree: ast.Module) -> set[str]:
    """The names of a module that its functions change, or whose values change by themselves."""
    tops = {
        name.id: node.value
        for node in tree.body
        if isinstance(node, (ast.Assign, ast.AnnAssign))
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        for name in ast.walk(target)
        if isinstance(name, ast.Name)
    }
    state = {
        name for name, value in tops.items() if isinstance(value, ast.Call) and called(value) in CHANGEABLE
    }
    for function in ast.walk(tree):
        if not isinstance(function, (ast.FunctionDef, ast.Lambda)):
            continue
        nodes = list(ast.walk(function))
        outer = {name for node in nodes if isinstance(node, ast.Global) for name in node.names}
        own = {node.arg for node in nodes if isinstance(node, ast.arg)}
        own |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        state |= outer
        for node in nodes:
            target = None
            if isinstance(node, (ast.Subscript, ast.Attribute)) and isinstance(
                node.ctx, (ast.Store, ast.Del)
            ):
                target = node.value
            elif (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in CHANGES
            ):
                target = node.func.value
            if isinstance(target, ast.Name) and target.id in tops and target.id not in own - outer:
                state.add(target.id)
        for decorator in getattr(function, "decorator_list", []):
            if called(decorator) in ("cache", "lru_cache", "memoised"):
                state.add(function.name)
    return state


def test_the_state_of_all_modules_stands_in_one_table() -> None:
    found = {
        f"{name}.{part}" for name in MODULES if room(name) != "selfcheck" for part in _state_of(tree_of(name))
    }
    listed = {name for names in state.STATE.values() for name in names}
    assert found == listed


def test_the_caches_of_that_table_are_those_that_are_emptied() -> None:
    held = [
        getattr(importlib.import_module(f"tinygrad_rnn.{module}"), part)
        for module, _, part in (name.rpartition(".") for name in state.STATE["cache"])
    ]
    emptied = [*caches._memoised, *caches._listed]
    assert {*map(id, held)} <= {*map(id, emptied)}
    of_library = [f for f in caches._memoised if f.__module__.startswith("tinygrad_rnn.")]
    assert {*map(id, of_library)} <= {*map(id, held)}


@pytest.mark.parametrize(
    "code",
    [
        "x = {}\ndef f(): x[1] = 2",
        "x = []\ndef f(): x.append(1)",
        "x = None\ndef f():\n    global x\n    x = 1",
        "x = itertools.count()",
        "@functools.cache\ndef x(): return 1",
        "x = threading.local()",
    ],
)
def test_state_is_found(code: str) -> None:
    assert _state_of(ast.parse(code)) == {"x"}
