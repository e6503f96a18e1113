"""What users' type checkers and editors see."""

from __future__ import annotations

import importlib
import json
import os
import re
import rlcompleter
import subprocess
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tinygrad_rnn as tg

ROOT = Path(tg.__file__).parent.parent
TYPED = Path(__file__).parent / "typed"
MODULES = ("nn", "nn.init", "optim", "data", "train", "linalg", "random", "interop", "interop.safetensors")


def _run(*command: str) -> str:
    found = {**os.environ, "PYTHONPATH": str(ROOT)}  # also where the package is installed to be edited
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT, check=False, env=found
    )
    assert done.stdout, done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where mypy keeps what it knows of the library: reading it takes most of its time."""
    return f"--cache-dir={tmp_path_factory.mktemp('mypy')}"


def _mypy(cache: str, path: Path) -> list[tuple[int, str, str]]:
    """What mypy says of a file: lines, kinds and texts."""
    told = _run("mypy", "--strict", "--ignore-missing-imports", "--no-pretty", cache, str(path))
    return [(int(line), kind, text) for line, kind, text in re.findall(r":(\d+): (\w+): (.*)", told)]


def _basedpyright(path: Path) -> list[tuple[int, str, str]]:
    """What basedpyright says of a file in the mode that it recommends, which is its strictest."""
    told = json.loads(_run("basedpyright", "--level", "warning", "--outputjson", str(path)))
    return [
        (one["range"]["start"]["line"] + 1, one["severity"], f"{one['message']} ({one.get('rule')})")
        for one in told["generalDiagnostics"]
    ]


@pytest.mark.slow
def test_mypy_knows_the_public_face(cache: str) -> None:
    assert _mypy(cache, TYPED / "face.py") == []


@pytest.mark.slow
def test_basedpyright_knows_the_public_face() -> None:
    told = _basedpyright(TYPED / "face.py")
    assert [one for one in told if one[1] == "error"] == []
    assert [one for one in told if re.search(r"\(report(Any|Unknown\w+)\)$", one[2])] == []


@pytest.mark.slow
@pytest.mark.parametrize("checker", ["mypy", "basedpyright"])
def test_mistakes_are_told(checker: str, cache: str) -> None:
    path = TYPED / "mistakes.py"
    told = _mypy(cache, path) if checker == "mypy" else _basedpyright(path)
    wrong = [i for i, line in enumerate(path.read_text().splitlines(), 1) if line.endswith("# wrong")]
    assert sorted({line for line, kind, _ in told if kind == "error"}) == wrong


@pytest.mark.slow
def test_the_types_of_the_library_are_complete() -> None:
    told = json.loads(
        _run("basedpyright", "--verifytypes", "tinygrad_rnn", "--ignoreexternal", "--outputjson")
    )
    # what is unknown elsewhere follows from these; cells as users write them say no types
    roots = [
        f"{symbol['name']}: {one['message']}"
        for symbol in told["typeCompleteness"]["symbols"]
        for one in symbol["diagnostics"]
        if re.search("missing|override", one["message"]) and ".selfcheck.cells." not in symbol["name"]
    ]
    assert roots == [], "\n".join(roots)
    assert told["typeCompleteness"]["completenessScore"] >= 0.98


# -- no Any --------------------------------------------------------------------------------------------------

OF_OTHERS = re.compile(
    r"numpy\.(ndarray\[tuple\[Any, \.\.\.\], numpy\.dtype\[Any\]\]|dtype\[Any\]|generic\[Any\])"
    r"|slice\[Any, Any, Any\]"
)
"""Parameters of NumPy's and Python's own types."""

OF_CALLABLES = re.compile(r"def \((\*Any, \*\*Any|Any, \*P\.args, \*\*P\.kwargs|Any, State`?-?\d*)\)")
"""What a function that is handed over takes: any function may be."""

ANY = {
    "tg.data.batches": "a batch is nested as the data",
    "tg.data.bucket": "a batch is nested as the data",
    "tg.from_dlpack": "an array of any library",
    "tg.memory": "a model takes and returns anything",
    "tg.train.load_run": "a cell is whatever its class makes",
    "tg.train.predict": "a model takes and returns anything",
    "x.__dlpack__": "DLPack's protocol",
    "tg.explain": "a cell may return anything; the options are those of scan or of a layer",
    "tg.grad": "the gradient by another argument than the first is nested as that",
    "tg.value_and_grad": "the gradient by another argument than the first is nested as that",
    "tg.scan": "the state of a cell that says no types",
    "tg.train.dashboard": "a figure of matplotlib, which need not be there",
    "tg.train.evaluate": "a model takes anything, and a metric returns anything",
    "tg.train.fit": "a batch and a callback may be anything",
    "tg.vjp": "residuals are nested as the arguments",
    "x.tolist": "lists in as many lists as the tensor has axes",
    "x.__array_function__": "NumPy's protocol",
    "x.__array_ufunc__": "NumPy's protocol",
    "x.__reduce_ex__": "pickle's protocol",
}
"""Where a checker sees Any, and why."""


def _public() -> Iterator[str]:
    """Expressions: the public functions and constants, and all that a tensor has."""
    for room in ("", *MODULES):
        module = importlib.import_module(f"tinygrad_rnn.{room}" if room else "tinygrad_rnn")
        for name in dir(module):
            thing = getattr(module, name)
            if not name.startswith("_") and not isinstance(thing, (types.ModuleType, type)):
                yield f"tg.{f'{room}.' if room else ''}{name}"
    methods = {
        name
        for kind in tg.Tensor.__mro__[:-1]
        for name, thing in vars(kind).items()
        if isinstance(thing, types.FunctionType) and name not in ("__init__", "__dir__", "__setitem__")
    }
    in_place = {
        name for name in methods if re.match("__i(add|sub|mul|truediv|floordiv|mod|pow|matmul)__", name)
    }
    shown = {name for name in dir(tg.zeros(1)) if not name.startswith("_")}
    yield from (f"x.{name}" for name in sorted(shown | {n for n in methods - in_place if n.startswith("__")}))


@pytest.mark.slow
def test_no_public_function_and_no_method_of_a_tensor_is_any(cache: str, tmp_path: Path) -> None:
    named = list(_public())
    assert {"tg.tanh", "tg.mean", "tg.optim.clip_grad_norm", "x.mean", "x.shape", "x.__add__"} <= {*named}
    head = "import tinygrad_rnn as tg\nx = tg.zeros(1)\n"
    path = tmp_path / "revealed.py"
    path.write_text(head + "".join(f"reveal_type({expression})\n" for expression in named))
    told = [one for one in _mypy(cache, path) if one[1] != "note" or one[2].startswith("Revealed")]
    assert [one for one in told if one[1] == "error"] == []
    revealed = dict(zip(named, [text for _, _, text in told], strict=True))
    any_of = [
        name for name, text in revealed.items() if "Any" in OF_CALLABLES.sub("", OF_OTHERS.sub("", text))
    ]
    assert sorted(any_of) == sorted(ANY), {name: revealed[name] for name in {*any_of} ^ {*ANY}}


def test_methods_are_the_functions() -> None:
    """So their types cannot differ; but for those that take their arguments in another way."""
    both = {*dir(tg.zeros(1))} & {*dir(tg)}
    of_their_own = {name for name in both if vars(tg.Tensor).get(name) is not getattr(tg, name)}
    assert {name for name in of_their_own if not name.startswith("_")} == {
        "clip", "data", "grad", "ravel", "reshape", "transpose"
    }  # fmt: skip
    assert {"sum", "mean", "astype", "take"} <= both


def test_derivatives_take_the_keywords_of_their_function() -> None:
    """As their types say: here of w² · scale, where both are numbers."""

    def f(w: tg.Tensor, *, scale: tg.Tensor) -> tg.Tensor:
        return w**2 * scale

    w, scale = tg.tensor(3.0, requires_grad=True), tg.tensor(5.0, requires_grad=True)
    tg.checkpoint(f)(w, scale=scale).backward()
    assert w.grad is not None
    assert scale.grad is not None
    assert (w.grad.item(), scale.grad.item()) == (30.0, 9.0)
    for derivative, value in ((tg.grad, 30.0), (tg.jacobian, 30.0), (tg.hessian, 10.0)):
        assert derivative(f)(w, scale=scale).item() == value


# -- completion ----------------------------------------------------------------------------------------------


def _completed(text: str, **names: Any) -> set[str]:
    completer, found = rlcompleter.Completer({"tg": tg, **names}), set()
    while (word := completer.complete(text, len(found))) is not None:
        found.add(word)
    return {word.removeprefix(text).rstrip("()") for word in found}


def test_completion_shows_the_public_face_only() -> None:
    shown = {name for name in _completed("tg.") if not name.startswith("_")}
    assert shown == {name for name in dir(tg) if not name.startswith("_")}
    modules = {name for name in shown if isinstance(getattr(tg, name), types.ModuleType)}
    assert modules == {"linalg", "random", "nn", "optim", "data", "train", "interop"}
    assert not {"Any", "annotations", "TYPE_CHECKING", "importlib"} & shown
    assert {"tanh", "scan", "explain", "Tensor", "tensor", "float32", "ShapeError", "draw", "flow"} <= shown


@pytest.mark.parametrize("module", MODULES)
def test_completion_shows_the_public_face_of_a_module_only(module: str) -> None:
    listed = importlib.import_module(f"tinygrad_rnn.{module}").__all__
    assert {name for name in _completed(f"tg.{module}.") if not name.startswith("_")} == {*listed}


def test_completion_shows_what_a_tensor_has() -> None:
    """Not the names of PyTorch, which stand there to say what to write instead."""
    x = tg.eye(2)
    shown = dir(x)
    assert {"mean", "sum", "backward", "grad", "shape"} <= {*shown}
    assert [name for name in shown if not name.startswith("_") and not hasattr(x, name)] == []
