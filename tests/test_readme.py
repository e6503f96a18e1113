"""The README tells the truth: its Python runs, its commands parse, its links lead somewhere, and the CI runs
its test line."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tinygrad_rnn import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
CONSOLE = [
    line.partition("#")[0].strip() for kind, text in BLOCKS if kind == "console" for line in text.splitlines()
]


@pytest.mark.numpy_only
def test_its_python_runs(monkeypatch, tmp_path, capsys):
    """All blocks in order, as one program: later ones use what earlier ones made."""
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "readme"}
    python = [(i, text) for i, (kind, text) in enumerate(BLOCKS) if kind == "python"]
    assert len(python) >= 5
    for i, text in python:
        exec(compile(text, f"README block {i}", "exec"), namespace)
    assert namespace["loss"].item() < 0.1
    assert (tmp_path / "step.svg").read_text(encoding="utf-8").count('class="node ') > 10


@pytest.mark.parametrize("line", [line for line in CONSOLE if "tinygrad-rnn " in line])
def test_its_commands_are_understood(line):
    for part in line.split("&&"):
        words = shlex.split(part)
        if words[0].endswith("tinygrad-rnn"):
            assert callable(cli._parser().parse_args(words[1:]).command)


def test_every_subcommand_is_shown():
    for command in ("train", "sample", "graph", "flow", "check"):
        assert any(f"tinygrad-rnn {command}" in line for line in CONSOLE)


def test_its_links_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_the_ci_runs_the_test_line():
    """.ci/run takes it from the README: there is one such line, from nothing to the end of the tests."""
    (pattern,) = re.findall(r"grep -x '(.*)' README\.md", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    (line,) = [line for line in README.splitlines() if re.fullmatch(pattern, line)]
    assert line == "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m tests"
