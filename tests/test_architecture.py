"""The building: imports go one way, importing is light, and the contract's names are there."""

from __future__ import annotations

import ast
import functools
import importlib
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import caches, chain_rule, state
from tinygrad_rnn.chain_rule import Row

PACKAGE = Path(tg.__file__).parent
FLOORS: list[set[str]] = [
    {"caches", "errors", "effects", "user_code", "cleanup", "state"},
    {"arguments", "tree"},
    {"random", "atomic", "backends"},
    {"chain_rule"},
    {"tape"},
    {"ops"},
    {"operators"},
    {"tensor", "batches"},
    {"transforms", "reading"},
    {"sequence"},
    {"check", "graph", "diagnosis"},  # they look at the tape, and know nothing of layers, nor of each other
    {"derived"},
    {"linalg"},
    {"numpy_functions", "torch_names"},
    {"nn"},
    {"optim"},
    {"interop"},
    {""},
    {"train", "selfcheck"},
    {"cli"},
]
"""From the ground up: a room may import from the floors below its own. "" is the package itself."""


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = _modules()


def _room(module: str) -> str:
    return module.split(".")[0]


def _floor(room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if room in rooms)


def _imported(name: str, nodes: list[ast.AST]) -> set[str]:
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
def _tree(name: str) -> ast.Module:
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


def test_every_room_has_a_floor() -> None:
    assert {_room(name) for name in MODULES} == set().union(*FLOORS)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_one_way(name: str) -> None:
    ours = _room(name)
    for other in _imported(name, list(ast.walk(_tree(name)))):
        theirs = _room(other)
        allowed = theirs == ours or _floor(theirs) < _floor(ours)
        assert allowed, f"{name} imports {other}: {theirs!r} is not below {ours!r}"


def test_modules_do_not_import_each_other_in_circles() -> None:
    """Nor inside of functions, where a circle would only be hidden."""
    below = {name: _imported(name, list(ast.walk(_tree(name)))) - {name, ""} for name in MODULES if name}
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
        "diagnosis.charts": {"matplotlib.colors", "matplotlib.figure", "matplotlib.ticker"},
        "interop.safetensors": {"safetensors…"},
        "selfcheck.machine": {"cupy", "resource"},  # resource is not on Windows
        "selfcheck.times": {"torch"},
        "train.progress": {"rich.console", "rich.progress"},
    },
    "weight": {  # what takes long to import, and few need
        "": {".…"},
        "backends": {".cupy_backend"},
        "backends.native.code_cache": {"platformdirs"},
        "backends.native.threads": {"threadpoolctl"},
        "backends.numpy_backend": {".native"},
        "cli": {"."},
        "derived.losses": {"..sequence.rows"},
        "graph.picture": {"graphviz"},
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
                elif _called(node) == "import_module" and isinstance(node, ast.Call):
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
    assert _imported_inside_functions(_tree(name)) == listed


@pytest.mark.parametrize("name", MODULES)
def test_private_names_stay_in_their_file(name: str) -> None:
    imports = [
        node
        for node in ast.walk(_tree(name))
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
    ]
    assert [alias.name for node in imports for alias in node.names if re.match(r"_[a-z]", alias.name)] == []


CALLERS = {"chain_rule", "ops", "derived", "tensor", "selfcheck"}
"""Rooms that have operations by name: rules, functions that call them, and operands to try each with."""


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


@pytest.mark.parametrize("name", [name for name in MODULES if _room(name) not in CALLERS])
def test_what_is_special_about_an_operation_stands_in_its_row(name: str) -> None:
    """Whoever asks whether an operation is ``matmul`` misses the next one that is like it."""
    assert _operations_told_apart(_tree(name)) == []


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


CHANGES = (
    "append", "add", "update", "pop", "popitem", "clear", "setdefault", "extend", "insert", "remove",
    "discard",
)  # fmt: skip
CHANGEABLE = (
    "recent", "Recent", "count", "local", "Lock", "RLock", "WeakSet", "WeakKeyDictionary", "ContextVar",
    "Registry", "default_rng", "_Thread",
)  # fmt: skip
"""What makes something that functions change by methods of its own."""


def _called(node: ast.AST) -> str:
    function = node.func if isinstance(node, ast.Call) else node
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


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
        name for name, value in tops.items() if isinstance(value, ast.Call) and _called(value) in CHANGEABLE
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
            if _called(decorator) in ("cache", "lru_cache", "memoised"):
                state.add(function.name)
    return state


def test_the_state_of_all_modules_stands_in_one_table() -> None:
    found = {
        f"{name}.{part}" for name in MODULES if _room(name) != "selfcheck" for part in _state_of(_tree(name))
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


def test_no_room_for_odds_and_ends() -> None:
    assert not [name for name in MODULES if re.search(r"(^|\.)(utils?|helpers?|misc|common)$", name)]


def test_every_module_says_what_it_is() -> None:
    assert not [
        name for name in MODULES if MODULES[name].stat().st_size and ast.get_docstring(_tree(name)) is None
    ]


# -- importing -----------------------------------------------------------------------------------------------


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


# -- names ---------------------------------------------------------------------------------------------------


CONTRACT = re.findall(
    r"\w+",
    """
    tensor Tensor Tape rows no_grad set_backend use_backend available_backends default_dtype set_default_dtype
    random linalg exp log tanh sigmoid relu softplus erf where maximum minimum clip sum mean var std prod max
    min cumsum cumprod diff sort argsort take take_along_axis tensordot outer inner trace einsum concatenate
    stack split pad tile repeat flip roll tril triu diag squeeze expand_dims moveaxis swapaxes broadcast_to
    logaddexp hypot expm1 log1p arcsin arccos arctan arcsinh arccosh arctanh arctan2 softmax log_softmax
    logsumexp cross_entropy mse_loss bce_with_logits huber_loss grad value_and_grad vjp jvp hvp jacobian
    hessian gradients checkpoint check_gradients nn optim scan explain clear_caches draw flow detect_anomaly
    save load ArgumentError ArgumentWarning BackendError CacheWarning CheckpointError CompileWarning DataError
    DrawError DrawWarning DtypeError FlowError GradientCheckError IndexRangeError LinearAlgebraError
    ModuleError NonFiniteError ShapeError TapeError TinygradRNNError TraceError TrainingError
    """,
)
"""Names that programs may count on."""


def test_public_names() -> None:
    assert [name for name in CONTRACT if not hasattr(tg, name)] == []
    assert set(CONTRACT) <= set(dir(tg))
    assert [name for name in ("norm", "inv", "det", "solve") if not hasattr(tg.linalg, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'fft'"):
        tg.fft


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_export_lists_are_true(name: str) -> None:
    for node in _tree(name).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [
            "__all__"
        ]:
            listed = ast.literal_eval(node.value)
            assert len(set(listed)) == len(listed)
            module = importlib.import_module(f"tinygrad_rnn.{name}")
            assert [part for part in listed if not hasattr(module, part)] == []


def test_every_error_is_the_librarys_and_a_built_in() -> None:
    for name in tg.errors.__all__:
        error = getattr(tg, name)
        assert issubclass(error, tg.TinygradRNNError)
        assert name == "TinygradRNNError" or any(
            base.__module__ == "builtins" and base is not Exception for base in error.__bases__
        )


def test_version_is_the_changelogs_newest() -> None:
    """It is written in the package, from where the project's metadata have it."""
    changelog = (PACKAGE.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == tg.__version__


def test_top_level_is_as_it_was_laid_out() -> None:
    root = PACKAGE.parent
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "tests", "examples"):
        assert (root / name).exists()
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "backends").is_dir()


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
