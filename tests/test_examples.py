"""The examples run as a reader runs them; each asserts its own claim."""

from __future__ import annotations

import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("0*.py"))

pytestmark = pytest.mark.one_backend


def run(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    return runpy.run_path(str(script), run_name="__main__")


def test_there_are_all():
    assert [script.stem[3:] for script in SCRIPTS] == ["composition", "addition", "weighting", "rnn", "lstm", "peephole", "gru"]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_runs_and_says_something(script, monkeypatch, capsys):
    run(script, monkeypatch)
    assert capsys.readouterr().out.count("\n") >= 2


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_is_short(script):
    assert len(script.read_text(encoding="utf-8").splitlines()) < 40


def test_the_committed_picture_is_the_one_that_the_example_draws(monkeypatch, tmp_path):
    """The same operations and arrows; where they stand is up to the engine."""
    run(EXAMPLES / "05_lstm.py", monkeypatch, str(tmp_path / "lstm.svg"))

    def drawn(path):
        return sorted(node.get("id") for node in ElementTree.parse(path).iter() if node.get("class", "").split(" ")[0] in ("node", "edge"))

    assert drawn(EXAMPLES / "pictures" / "lstm.svg") == drawn(tmp_path / "lstm.svg")
