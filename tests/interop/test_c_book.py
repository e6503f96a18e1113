"""The C programs that the book and the examples show."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interop.compiled_c import SANITISED, STRICT, needs_gcc
from tinygrad_rnn import data, nn
from tinygrad_rnn.interop import c
from tinygrad_rnn.ops import Tensor

pytestmark = [needs_gcc, pytest.mark.numpy_only]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "out-of-python.md").read_text(encoding="utf-8")
CELLS = re.findall(r"```{code-cell} python\n(?::[^\n]*\n)?(.*?)```", PAGE, re.DOTALL)


def compiled(folder: Path, source: str) -> Path:
    command = ["gcc", "-std=c99", *STRICT, *SANITISED, source, "-o", "program", "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "program"


def test_the_books_code_runs_and_its_program_prints_what_the_library_does(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)  # comes back after the test
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    names: dict[str, object] = {}
    printed = []
    for cell in CELLS:
        exec(cell, names)
        printed.append(capsys.readouterr().out)
        if "stepper = " in cell:
            break
    assert printed[-1]
    block = re.search(r"<!-- main -->\n```c\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    Path("main.c").write_text(block[1])  # beside model.c, where the page is now
    program = compiled(Path.cwd(), "main.c")
    done = subprocess.run([str(program)], capture_output=True, text=True, check=True)
    assert done.stdout == printed[-1]
    assert done.stdout.count("\n") == 3
    for cell in CELLS[len(printed) :]:
        exec(cell, names)


def test_the_example_writes_with_a_model(tmp_path):
    """One whose next character is always the one behind, so that what it writes is known."""
    characters = " aeé🙂"
    after = np.roll(np.eye(5, dtype=np.float32), 1, 1) * 50

    def cell(number: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        return tg.take(tg.tensor(after), number, axis=0), state

    first = tg.zeros((1,), dtype="int32")
    c.export(cell, tmp_path / "model.c", first, tg.zeros((1, 1)), vocabulary=data.Vocabulary(characters))
    (tmp_path / "write.c").write_bytes((ROOT / "examples" / "c" / "write.c").read_bytes())
    program = compiled(tmp_path, "write.c")
    done = subprocess.run([str(program), "ae"], capture_output=True, check=True)
    assert done.stdout.decode() == "ae" + ("é🙂 ae" * 120) + "\n"
    unknown = subprocess.run([str(program), "b"], capture_output=True)
    assert (unknown.returncode, unknown.stderr) == (1, b"the model has never seen 'b'\n")
    alone = subprocess.run([str(program)], capture_output=True, check=True)
    assert len(alone.stdout.decode()) == 601


def test_the_sizes_that_the_book_gives(tmp_path):
    inputs, hidden = 6, 9
    layer = nn.LSTM(inputs, hidden)
    exact, whole = (c.export(layer, tmp_path / "m.c", weights=weights) for weights in ("float32", "int8"))
    assert exact.weights == 16 * hidden * (inputs + hidden) + 16 * hidden
    assert whole.weights == 4 * hidden * (inputs + hidden) + 32 * hidden + 16 * hidden
    assert exact.state == 8 * hidden
