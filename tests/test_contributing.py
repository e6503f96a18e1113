"""What docs/CONTRIBUTING.md says how to do can be done so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "CONTRIBUTING.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

USED = """
import numpy as np, tinygrad_rnn as tg

x = np.array([-40.0, -1.0, 1e-9, 0.5, 40.0])
np.testing.assert_allclose(tg.softcap(x, 1.5).numpy(), 1.5 * np.tanh(x / 1.5), rtol=1e-15)
tg.check_gradients(lambda x: tg.softcap(x, 1.5), tg.tensor(np.array([-1.0, 0.3])))
y = tg.softcap(tg.tensor([1.0], requires_grad=True), 1.5)
print([entry.row.name for entry in tg.Tape.of(y)][-1], "softcap" in tg.rows)
"""


@pytest.fixture
def changed(request, tmp_path):
    """A copy of the repository in which a way to add an operation was gone."""
    for room in ("tinygrad_rnn", "tests", "docs/api"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    steps = re.findall(rf"<!-- {request.param} -->\n```diff\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        ["git", "apply", "-"],
        input="".join(steps),
        text=True,
        encoding="utf-8",
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return tmp_path


def run(folder, *arguments):
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("changed", "told"), [("derived", "multiply False"), ("row", "softcap True")], indirect=["changed"]
)
def test_an_operation_is_added(changed, told):
    assert run(changed, "-c", USED) == told


@pytest.mark.slow
@pytest.mark.thorough
@pytest.mark.parametrize("changed", ["derived", "row"], indirect=True)
def test_an_operation_that_was_added_passes_the_tests(changed):
    rooms = ("tests/chain_rule", "tests/arguments", "tests/architecture", "tests/docs/test_reference.py")
    chosen = "softcap or every_parameter or every_public_name or vector_code or private_names or export_lists"
    run(changed, "-m", "pytest", "-q", "-p", "no:cacheprovider", *rooms, "-k", chosen)


def test_commands_are_there():
    """Each module that a command runs is in the repository."""
    modules = set(re.findall(r"python -m ((?:tests|benchmarks|docs)[\w.]*)", PAGE))
    assert {"tests", "benchmarks", "docs", "tests.graph.scenes"} <= modules
    for module in modules:
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module
    for path in re.findall(r"\]\(\.\./([^)#]+)\)|`((?:tests|examples)/[\w/.]+)`", PAGE):
        assert (ROOT / (path[0] or path[1])).exists(), path
