"""The book's jobs run as a reader runs them; each asserts its own claim, in less than a minute on two idle
cores, and writes its figure."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import matplotlib
import matplotlib.pyplot
import numpy
import pytest

pytestmark = pytest.mark.numpy_only

ROOT = Path(__file__).parent.parent
JOBS = sorted((ROOT / "examples" / "jobs").glob("*.py"))
each_job = pytest.mark.parametrize("job", JOBS, ids=lambda job: job.stem)


@pytest.mark.slow
@each_job
def test_it_runs_says_something_and_writes_its_figure(job, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(job), "figure.png"])
    monkeypatch.setenv("MPLBACKEND", "agg")
    with matplotlib.rc_context():
        runpy.run_path(str(job), run_name="__main__")
        matplotlib.pyplot.close("all")
    assert capsys.readouterr().out.count("\n") >= 2
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    pictures = ROOT / "examples" / "jobs" / "pictures"
    found, committed = (
        matplotlib.pyplot.imread(path) for path in (tmp_path / "figure.png", pictures / f"{job.stem}.png")
    )
    assert found.shape == committed.shape
    assert numpy.ptp(found) == 1  # something is on it


@each_job
def test_it_is_short_and_has_a_page_a_figure_and_a_twin(job):
    lines = job.read_text(encoding="utf-8").splitlines()
    assert sum(line != "" for line in lines) < 150
    assert (ROOT / "examples" / "jobs" / "pictures" / f"{job.stem}.png").stat().st_size < 150_000
    assert (ROOT / "tests" / "peers" / f"test_job_{job.stem}.py").exists()
    page = (ROOT / "docs" / "jobs" / f"{job.stem}.md").read_text(encoding="utf-8")
    assert "{code-cell}" in page
    index = (ROOT / "docs" / "jobs" / "index.md").read_text(encoding="utf-8")
    assert job.stem in index
    assert f"examples/jobs/{job.stem}.py" in page
