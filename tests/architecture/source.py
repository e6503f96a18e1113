"""The library's source: its modules, their floors, and what they import."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import tinygrad_rnn as tg

PACKAGE = Path(tg.__file__).parent
FLOORS: list[set[str]] = [
    {"caches", "errors", "effects", "user_code", "cleanup", "state", "colours"},
    {"arguments", "tree"},
    {"random", "atomic", "backends", "tables", "pages"},
    {"chain_rule"},
    {"tape"},
    {"ops"},
    {"operators"},
    {"tensor", "batches"},
    {"transforms", "reading"},
    {"sequence"},
    {
        "check",
        "graph",
        "diagnosis",
        "paper",
    },  # they look at the tape, and know nothing of layers, nor of each other
    {"derived"},
    {"linalg"},
    {"numpy_functions", "torch_names"},
    {"nn"},
    {"optim", "data"},
    {"interop"},
    {"train"},
    {""},
    {"selfcheck"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
"""From the ground up: a room may import from the floors below its own. "" is the package itself."""


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def room(module: str) -> str:
    return module.split(".")[0]


def floor(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def imported(name: str, nodes: list[ast.AST]) -> set[str]:
    """The package's modules that import statements name; "" is the package itself."""
    inside = MODULES[name].name == "__init__.py"
    here = name.split(".") if name else []
    found: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            named = [alias.name for alias in node.names]
            found.update(
                part.removeprefix("tinygrad_rnn").lstrip(".")
                for part in named
                if part.split(".")[0] == "tinygrad_rnn"
            )
        if isinstance(node, ast.ImportFrom):
            if node.level:
                up = node.level - (1 if inside else 0)
                base = here[: len(here) - up] + (node.module.split(".") if node.module else [])
            elif node.module and node.module.split(".")[0] == "tinygrad_rnn":
                base = node.module.split(".")[1:]
            else:
                continue
            for alias in node.names:
                deeper = ".".join([*base, alias.name])
                found.add(deeper if deeper in MODULES else ".".join(base))
    return found


@functools.cache
def tree_of(name: str) -> ast.Module:
    """A module as it is run, without what only says types."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    tree.body = [
        part
        for node in tree.body
        for part in (
            node.orelse if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" else [node]
        )
    ]
    return tree


def called(node: ast.AST) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
