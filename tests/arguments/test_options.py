"""Every option of the command line with every text that it must not have: one line that names it, status 2,
and nothing is written."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tinygrad_rnn import cli

WORDS = ["", "x", "1,5", "\ud800", "x" * 10_000]
HOSTILE = {
    "count": [*WORDS, "0", "-1", "2.5", "nan", "inf", "1e3", "9" * 30, "9" * 5000],
    "from 2": [*WORDS, "1", "0", "-1", "2.5", "nan", "inf", "9" * 30],
    "from 0": [*WORDS, "-1", "1.5", "nan"],
    "seed": [*WORDS, "-1", "2.5", "nan", "inf"],
    "positive": [*WORDS, "0", "-0.0", "-1", "nan", "inf", "-inf", "1e999"],
    "rate": [*WORDS, "-1", "nan", "inf", "-inf", "1e999"],
    "decay": [*WORDS, "1", "-0.1", "nan", "inf", "-inf"],
    "choice": [*WORDS, "0", "LSTM"],
    "missing": ["no/such/place", "x" * 10_000, "a/" * 3000],
    "identifier": [*(word for word in WORDS if word != "x"), "a b", "1a", "_a", "é", "a;"],
    "any": [],
}
OPTIONS = {
    "train": {
        "words": "any",
        **dict.fromkeys(["cell", "backend", "optimizer", "schedule"], "choice"),
        "weight_decay": "rate",
        **dict.fromkeys(["config", "held_out"], "missing"),
        **dict.fromkeys(["hidden", "layers", "embed", "batch", "length", "steps", "every"], "count"),
        "lr": "positive",
        "clip": "positive",
        "dropout": "decay",
        "seed": "seed",
        "patience": "from 0",
        "text": "missing",
        "resume": "missing",
        "run": "any",
    },
    "sample": {
        **dict.fromkeys(["length", "top_k"], "count"),
        **dict.fromkeys(["prompt", "stop"], "any"),
        "temperature": "rate",
        "seed": "seed",
        "cell": "choice",
        "run": "missing",
    },
    "compare": {"runs": "missing", "out": "missing"},
    "graph": {"what": "missing", "cell": "choice", "steps": "count", "out": "missing", "text": "missing"},
    "flow": {"what": "missing", "cell": "choice", "steps": "from 2", "out": "missing", "text": "missing"},
    "export": {
        "run": "missing",
        "file": "any",
        "weights": "choice",
        "name": "identifier",
        "cell": "choice",
        "text": "missing",
    },
    "convert": {"source": "missing", "target": "any", "part": "any"},
    "check": {"backend": "choice", "out": "any", "quick": "any"},
}


def actions() -> dict[str, dict[str, argparse.Action]]:
    """The options and places of every command."""
    commands = next(
        action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {
        name: {action.dest: action for action in parser._actions if action.dest != "help"}
        for name, parser in commands.choices.items()
    }


def test_every_option_has_a_kind() -> None:
    assert {command: set(found) for command, found in actions().items()} == {
        command: set(known) for command, known in OPTIONS.items()
    }


CASES = [(command, name) for command, names in OPTIONS.items() for name in names if HOSTILE[names[name]]]


@pytest.mark.parametrize(("command", "name"), CASES)
def test_refusals(
    command: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    action = actions()[command][name]
    for text in HOSTILE[OPTIONS[command][name]]:
        given = [f"{action.option_strings[0]}={text}"] if action.option_strings else [text]
        given += ["model.c"] if (command, name) == ("export", "run") else []
        given += ["weights.pt"] if (command, name) == ("convert", "source") else []
        rest = (
            ["gru"]
            if command in ("graph", "flow") and action.option_strings
            else ["run"]
            if command in ("sample", "compare") and action.option_strings
            else ["run", "model.c"]
            if command == "export" and action.option_strings
            else []
        )
        try:
            status = cli.main([command, *rest, *given])
        except SystemExit as ended:  # argparse's way
            status = ended.code
        out, err = capsys.readouterr()
        assert status == 2, text
        assert out == "", text
        assert "Traceback" not in err, text
        assert (f"argument {action.option_strings[0]}" if "usage:" in err else "tinygrad-rnn: ") in err, text
        assert list(tmp_path.iterdir()) == [], text
