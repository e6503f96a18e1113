"""Imports go one way, and importing is light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tests.architecture.source import FLOORS, MODULES, called, floor, imported, room, tree_of


def test_every_room_has_a_floor() -> None:
    assert {room(name) for name in MODULES} == set().union(*FLOORS)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name: str) -> None:
    ours = room(name)
    for other in imported(name, list(ast.walk(tree_of(name)))):
        theirs = room(other)
        allowed = theirs == ours or floor(theirs) < floor(ours)
        assert allowed, f"{name} imports {other}: {theirs!r} is not below {ours!r}"


def test_modules_do_not_import_each_other_in_circles() -> None:
    """Nor inside of functions, where a circle would only be hidden."""
    below = {name: imported(name, list(ast.walk(tree_of(name)))) - {name, ""} for name in MODULES if name}
    while below:
        free = {name for name, needs in below.items() if not needs & below.keys()}
        assert free, (
            "imports go in a circle: "
            f"{ {name: sorted(needs & below.keys()) for name, needs in below.items()} }"
        )
        below = {name: needs for name, needs in below.items() if name not in free}


INSIDE_FUNCTIONS = {
    "extra": {  # what need not be installed
        "backends.cupy_backend": {"cupy", "cupyx", "cupyx.scipy.special"},
        "backends.native.compiler": {"llvmlite.binding"},
        "diagnosis.charts.figure": {"matplotlib.…"},
        "graph.convert": {"resvg_py", "svg2pdf_py"},
        "interop.keras_file": {"h5py"},
        "interop.onnx.file": {"google.protobuf.message"},
        "interop.onnx.package": {"onnx…"},
        "interop.safetensors": {"safetensors…"},
        "selfcheck.machine": {"cupy", "resource"},  # resource is not on Windows
        "selfcheck.times": {"torch"},
        "train.bar": {"rich.console", "rich.progress"},
        "train.lock": {"fcntl"},
        "train.panels": {"matplotlib.ticker"},
        "train.model": {"…"},  # a cell of somebody's own, by its name
        "train.reporting": {"tensorboardX"},
    },
    "weight": {  # what takes long to import, and few need
        "": {".…"},
        "backends": {".cupy_backend"},
        "backends.native.code_cache": {"platformdirs"},
        "backends.native.threads": {"threadpoolctl"},
        "backends.numpy_backend": {".native"},
        "chain_rule.formula": {".notation", "..tables"},
        "commands.check": {".."},
        "commands.convert": {"..interop.convert"},
        "derived.losses": {"..sequence.rows"},
        "graph.engine": {"graphviz"},
        "graph.picture": {"graphviz"},
        "interop": {".…"},
        "numpy_functions": {"difflib"},
        "optim.machine_code": {"..sequence.elementwise"},
        "train.data": {"pydoc_data.topics"},
    },
}
"""There is no third reason to import inside of a function."""


def _imported_inside_functions(tree: ast.Module) -> set[str]:
    found = set()
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    found.update(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom):
                    found.add("." * node.level + (node.module or ""))
                elif called(node) == "import_module" and isinstance(node, ast.Call):
                    parts = getattr(node.args[0], "values", [node.args[0]])
                    found.add(
                        "".join(
                            str(getattr(part, "value", "")) if isinstance(part, ast.Constant) else "…"
                            for part in parts
                        )
                    )
    return found


@pytest.mark.parametrize("name", MODULES)
def test_functions_import_what_is_an_extra_or_heavy(name: str) -> None:
    listed = set().union(*(modules.get(name, set()) for modules in INSIDE_FUNCTIONS.values()))
    assert _imported_inside_functions(tree_of(name)) == listed


@pytest.mark.parametrize("name", MODULES)
def test_private_names_stay_in_their_file(name: str) -> None:
    imports = [
        node
        for node in ast.walk(tree_of(name))
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
    ]
    assert [alias.name for node in imports for alias in node.names if re.match(r"_[a-z]", alias.name)] == []


def test_no_room_for_odds_and_ends() -> None:
    assert not [name for name in MODULES if re.search(r"(^|\.)(utils?|helpers?|misc|common)$", name)]


def test_every_module_says_what_it_is() -> None:
    assert not [
        name for name in MODULES if MODULES[name].stat().st_size and ast.get_docstring(tree_of(name)) is None
    ]


def _run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_import_pulls_in_numpy_and_nothing_else() -> None:
    before, after = (
        set(_run(f"import sys, {name}; print(*sorted({{m.split('.')[0] for m in sys.modules}}))").split())
        for name in ("numpy", "tinygrad_rnn")
    )
    new = {name for name in after - before if name not in sys.stdlib_module_names}
    assert new == {"tinygrad_rnn"}


def test_import_pulls_in_little_of_the_standard_library() -> None:
    """Each module that NumPy has not loaded costs milliseconds, ``pathlib`` twelve; ``python -m benchmarks
    latency`` reads the clock."""
    new = set(
        _run(
            "import numpy, sys; before = {*sys.modules}; import tinygrad_rnn; print(*({*sys.modules} - "
            "before))"
        ).split()
    )
    others = {name for name in new if not name.startswith("tinygrad_rnn") and not name.startswith("_")}
    assert others <= {
        "bisect",
        "copy",
        "dataclasses",
        "gc",
        "random",
        "threading",
        "zlib",
        "keyword",
        "inspect",
    }


def test_what_plans_loops_knows_no_processor():
    """Kernels of a device are planned and written without what machine code for this processor is made
    with."""
    sequence = Path(tg.__file__).parent / "sequence"
    todo, seen = ["kernels", "kernel_writer"], set[str]()
    while todo:
        name = todo.pop()
        seen.add(name)
        text = (sequence / f"{name}.py").read_text(encoding="utf-8")
        assert "native" not in text, name
        todo += [
            other for other in re.findall(r"^from \.(\w+) import", text, re.MULTILINE) if other not in seen
        ]
    assert {"nest_layout", "nest_planner", "elements", "laid_out_run", "plan"} <= seen
