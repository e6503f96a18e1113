"""A run whose cell is code of somebody's own: it is run only if it is named."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.test_cli import SMALL, refused
from tinygrad_rnn import cli

pytestmark = pytest.mark.numpy_only

CODE = """
import tinygrad_rnn as tg

class Leaky(tg.nn.Module):
    def __init__(self, inputs, hidden):
        self.W, self.U = tg.nn.Linear(inputs, hidden), tg.nn.Linear(hidden, hidden, bias=False)
        self.state_size = hidden

    def __call__(self, x, h):
        h = 0.5 * h + 0.5 * tg.tanh(self.W(x) + self.U(h))
        return h, h

open("was_run", "a").close()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_cells.py").write_text(CODE)
    (tmp_path / "text.txt").write_text("the cell remembers, the gate forgets; " * 40)
    yield tmp_path
    sys.modules.pop("my_cells", None)


def train(*options):
    return cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "12", *options])


def forgotten(folder):
    """Whether what comes next has the code run is seen by a file of its."""
    sys.modules.pop("my_cells", None)
    (folder / "was_run").unlink(missing_ok=True)


def test_it_trains_goes_on_and_writes(folder, capsys):
    assert train("--cell", "my_cells:Leaky", "--run", "run") == 0
    assert capsys.readouterr().out.startswith("my_cells:Leaky with ")
    forgotten(folder)
    for command in (["sample", "run"], ["train", "--resume", "run", "--steps", "14"], ["graph", "run"],
                    ["flow", "run"], ["train", "--config", "run/config.json", "--run", "other"]):  # fmt: skip
        assert "name it again by --cell my_cells:Leaky" in refused(capsys, *command)
    assert cli.main(["compare", "run"]) == 0
    assert not (folder / "was_run").exists()
    own = ["--cell", "my_cells:Leaky"]
    assert cli.main(["train", "--resume", "run", "--steps", "14", *own]) == 0
    assert cli.main(["sample", "run", "--length", "5", *own]) == 0
    assert cli.main(["graph", "run", "--out", "run.dot", *own]) == 0
    assert cli.main(["graph", "my_cells:Leaky", "--out", "cell.dot"]) == 0
    assert cli.main(["flow", "my_cells:Leaky", "--steps", "5"]) == 0
    assert "the cell is my_cells:Leaky, not gru" in refused(capsys, "sample", "run", "--cell", "gru")


def test_it_has_layers_and_dropout_between_them(capsys):
    size = []
    for layers in ("1", "2"):
        dropout = "0.3" if layers == "2" else "0"
        own = ["--cell", "my_cells:Leaky", "--layers", layers, "--dropout", dropout]
        assert train(*own, "--run", layers) == 0
        size.append(int(re.search(r"with ([\d,]+) parameters", capsys.readouterr().out)[1].replace(",", "")))
    assert size[1] - size[0] == 6 * 6 + 6 + 6 * 6
    assert cli.main(["sample", "2", "--length", "5", "--cell", "my_cells:Leaky"]) == 0
    assert len(capsys.readouterr().out) == 6


def test_its_model_comes_back(folder, monkeypatch):
    assert train("--cell", "my_cells:Leaky", "--run", "run") == 0
    forgotten(folder)
    with pytest.raises(tg.ArgumentError, match="name it again"):
        tg.train.load_run("run")
    assert not (folder / "was_run").exists()
    monkeypatch.syspath_prepend(folder)
    from my_cells import Leaky

    run = tg.train.load_run("run", cell=Leaky)
    found = run.history.best["held_out_bits_per_character"]
    text = (folder / "text.txt").read_text()
    numbers = run.vocabulary.encode(text[len(text) - round(len(text) * 0.1) :])
    windows = tg.data.windows(numbers, 5, 3)
    again = tg.train.evaluate(run.model, tg.cross_entropy, windows, carry=True)
    assert again["loss"] / np.log(2) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("no_such_module:Cell", "ModuleNotFoundError"),
        ("my_cells:Missing", "AttributeError"),
        ("my_cells:tg", "must be a function"),
        ("my_cells:", "must be rnn, lstm"),
        ("my_cells", "or module:Class"),
        ("os:getcwd", "TypeError"),
    ],
)
def test_what_is_no_cell(cell, said, capsys, folder):
    assert said in refused(capsys, "train", "--text", "text.txt", "--cell", cell, "--run", "new")
    assert not (folder / "new").exists()
