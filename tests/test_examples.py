"""The examples run as a reader runs them; each asserts its own claim. Their figures and the page that shows
them fit together."""

from __future__ import annotations

import re
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import matplotlib.pyplot
import numpy
import pytest

pytestmark = pytest.mark.numpy_only

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
PICTURES = EXAMPLES / "pictures"
SCRIPTS = sorted(EXAMPLES.glob("[0-9]*.py"))
FIGURES = {"05_lstm": "lstm.svg"} | {path.stem: path.name for path in PICTURES.glob("[0-9]*")}
"""By the name of the example that writes it."""

CLAIMS = (ROOT / "examples" / "README.md").read_text(encoding="utf-8")


each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)

LONG = ("14_peephole_timing", "15_gru_cost", "16_adding_problem", "17_copying_memory")
"""They train for 10 s and longer."""


def run(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [str(script), *arguments])
    monkeypatch.setenv("MPLBACKEND", "agg")
    with matplotlib.rc_context():
        runpy.run_path(str(script), run_name="__main__")
        matplotlib.pyplot.close("all")


def test_there_are_all():
    assert [script.stem[:2] for script in SCRIPTS] == [f"{number:02}" for number in range(1, 19)]


@pytest.mark.parametrize(
    "script",
    [pytest.param(script, marks=pytest.mark.slow) if script.stem in LONG else script for script in SCRIPTS],
    ids=lambda script: script.stem,
)
def test_it_runs_says_something_and_writes_its_figure(script, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = FIGURES.get(script.stem)
    run(script, monkeypatch, *[name] if name else [])
    assert capsys.readouterr().out.count("\n") >= 2
    assert [path.name for path in tmp_path.iterdir()] == ([name] if name else [])
    if name and name.endswith(".svg"):
        assert drawn(tmp_path / name) == drawn(PICTURES / name)
    elif name:
        found, committed = (matplotlib.pyplot.imread(path) for path in (tmp_path / name, PICTURES / name))
        assert found.shape == committed.shape
        assert numpy.ptp(found) == 1  # something is on it


def drawn(path):
    """The operations and arrows of a picture; where they stand is up to the engine."""
    return sorted(
        node.get("id")
        for node in ElementTree.parse(path).iter()
        if node.get("class", "").split(" ")[0] in ("node", "edge")
    )


@pytest.mark.parametrize("stem", ["05_lstm", "08_three_cases", "10_factors", "13_cell_state"])
def test_without_a_path_it_writes_nothing(stem, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run(EXAMPLES / f"{stem}.py", monkeypatch)
    assert not list(tmp_path.iterdir())


@each_script
def test_it_is_short(script):
    lines = script.read_text(encoding="utf-8").splitlines()
    assert sum(line != "" for line in lines) < 64


@each_script
def test_its_figure_is_written_only_if_asked_for(script):
    asks = "if sys.argv[1:]:" in script.read_text(encoding="utf-8")
    assert asks == (script.stem in FIGURES)


def test_figures_are_small():
    assert not [path.name for path in PICTURES.iterdir() if path.stat().st_size > 100_000]


def test_the_page_shows_every_claim_with_its_figure_and_command():
    shown = re.findall(r"!\[[^\]]+\]\(pictures/([^)]+)\)", CLAIMS)
    commands = re.findall(r"^python examples/(\w+)\.py (\S+)$", CLAIMS, re.MULTILINE)
    claimed = {script.stem for script in SCRIPTS if script.stem >= "08"}
    assert shown == [FIGURES[stem] for stem, _ in commands]
    assert {stem for stem, _ in commands} == claimed
    assert all(Path(figure).name == FIGURES[stem] for stem, figure in commands)
    assert CLAIMS.count("**Verdict:") == len(commands)


def test_the_links_of_the_page_lead_somewhere():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", CLAIMS) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / "examples" / link).exists()]
