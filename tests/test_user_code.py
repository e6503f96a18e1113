"""Whose line it is: the user's, wherever that file lies and whatever it is called, in errors, explanations
and pictures alike."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import user_code

PACKAGE = Path(tg.__file__).parent
CELLS = """
import tinygrad_rnn as tg

def looking(x, h):
    if float(x.sum()) > 0: h = h + 1  # LOOKING
    return h, h

def exploding(x, h):
    squashed = tg.tanh(x)
    h = tg.exp(1e3 * h + squashed)  # EXPLODING
    return h, h
"""
LINES = {
    word: number
    for number, line in enumerate(CELLS.splitlines(), 1)
    for word in ("LOOKING", "EXPLODING")
    if word in line
}
LOOK = '''
import numpy, sys
import tinygrad_rnn as tg

def look(cells):
    """What explain, anomaly mode and a picture say of the cells."""
    x, h = tg.tensor(numpy.ones((3, 2))), tg.tensor(numpy.ones(2), requires_grad=True)
    tg.scan(cells["looking"], x, h)
    print(tg.explain(cells["looking"]))
    with numpy.errstate(all="ignore"):
        try:
            with tg.detect_anomaly():
                tg.scan(cells["exploding"], x, h)
        except tg.NonFiniteError as error:
            print(error)
        drawn = tg.draw(tg.scan(cells["exploding"], x + 0 * h, h)[0])
    print("squashed = tanh" in drawn.dot)
'''


def _run(folder: Path, program: str, path: Path) -> str:
    (folder / "look.py").write_text(LOOK, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(folder)])}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def _written(folder: Path, name: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(CELLS, encoding="utf-8")
    return file


def _linked(folder: Path) -> Path:
    """The package as a folder of its own sees it, so that a file can lie beside it."""
    folder.mkdir()
    (folder / "tinygrad_rnn").symlink_to(PACKAGE)
    return folder


LOAD = """
import importlib.util, look
spec = importlib.util.spec_from_file_location("cells_of_a_user", {file!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
look.look(vars(module))
"""
NEXT = "\nprint('next')\n"
EXECUTE = """
import linecache, look
source = {source!r}
linecache.cache[{file!r}] = len(source), None, source.splitlines(True), {file!r}
cells = {{}}
exec(compile(source, {file!r}, "exec"), cells)
look.look(cells)
"""


def test_a_users_file_wherever_it_lies(tmp_path: Path) -> None:
    names = [
        "lib/tinygrad_rnn_cells.py", "lib/tinygrad_rnn2/nn.py", "lib/TINYGRAD_RNN/cells.py",
        "elsewhere/tinygrad_rnn/nn/cells.py", "site-packages/tinygrad_rnn_extra/cells.py", "lib/nn/module.py",
        "numpy/cells.py",
    ]  # fmt: skip
    lib = _linked(tmp_path / "lib")
    files = [_written(tmp_path, name) for name in names]
    _check_all(_run(tmp_path, NEXT.join(LOAD.format(file=str(file)) for file in files), lib), files)


def test_code_that_was_typed_or_executed(tmp_path: Path) -> None:
    names = [
        "<stdin>",
        "<ipython-input-3-0a1b>",
        "cells.py",
        "tinygrad_rnn_cells.py",
        "./a folder/tinygrad_rnn.py",
    ]
    programs = [EXECUTE.format(file=name, source=CELLS) for name in names]
    _check_all(_run(tmp_path, NEXT.join(programs), PACKAGE.parent), [Path(name) for name in names])


def test_a_users_file_behind_a_link(tmp_path: Path) -> None:
    _written(tmp_path, "true/tinygrad_rnn_cells.py")
    (tmp_path / "tinygrad_rnn").symlink_to(tmp_path / "true")
    file = tmp_path / "tinygrad_rnn" / "tinygrad_rnn_cells.py"
    _check(_run(tmp_path, LOAD.format(file=str(file)), _linked(tmp_path / "lib")), file.name)


@pytest.mark.parametrize("relative", [False, True])
def test_package_and_cells_in_an_archive(relative: bool, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(PACKAGE.rglob("*.py")):
            archive.write(file, file.relative_to(PACKAGE.parent))
        archive.writestr("tinygrad_rnn_cells.py", CELLS)
        archive.writestr("look.py", LOOK)
    program = "import look, tinygrad_rnn_cells; look.look(vars(tinygrad_rnn_cells))"
    _check(
        _run(tmp_path, program, Path("all.zip") if relative else tmp_path / "all.zip"),
        "tinygrad_rnn_cells.py",
    )


def _check_all(said: str, files: list[Path]) -> None:
    for part, file in zip(said.split("next\n"), files, strict=True):
        _check(part, file.name)


def _check(said: str, name: str) -> None:
    assert f"({name}, line {LINES['LOOKING']}: if float(x.sum()) > 0" in said
    assert f"exp in line {LINES['EXPLODING']} of {name}: h = tg.exp" in said
    assert said.splitlines()[-1] == "True"


@pytest.mark.parametrize(
    ("file", "users"),
    [
        (str(PACKAGE / "tensor.py"), False),
        (str(PACKAGE / "nn" / "cells.py"), False),
        (str(PACKAGE.parent / "setup.py"), True),
        (str(PACKAGE) + "_cells.py", True),
        (str(PACKAGE) + ".py", True),
        (numpy.__file__, False),
        (os.__file__, False),
        (os.path.join(os.path.dirname(os.__file__), "site-packages", "users", "cells.py"), True),
        ("<frozen runpy>", False),
        ("<string>", True),
        ("", True),
    ],
)
def test_files(file: str, users: bool) -> None:
    assert user_code.is_user(file) == users


def test_a_relative_path_into_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PACKAGE.parent)
    user_code.is_user.cache_clear()
    assert not user_code.is_user(os.path.join("tinygrad_rnn", "tensor.py"))
    assert user_code.is_user("tinygrad_rnn_cells.py")


def test_the_line_of_an_error_is_the_innermost_of_the_users() -> None:
    def fails(act: Callable[[], object]) -> user_code.Line | None:
        try:
            act()
        except Exception as error:
            return user_code.line_of(error)
        return None

    def inner() -> object:
        return numpy.concatenate([numpy.ones(2), numpy.ones((1, 1))])

    line = fails(inner)
    assert line is not None
    assert (line.name, line.number) == (Path(__file__).name, inner.__code__.co_firstlineno + 1)
    assert line.code == "return numpy.concatenate([numpy.ones(2), numpy.ones((1, 1))])"
    assert user_code.line_of(ValueError("never raised")) is None
