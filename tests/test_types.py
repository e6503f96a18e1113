"""What users' type checkers and editors see."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path

import pytest

import tinygrad_rnn as tg

pytestmark = pytest.mark.one_backend


@pytest.mark.slow
def test_the_public_face_is_typed(tmp_path: Path) -> None:
    face = Path(__file__).parent / "typed" / "face.py"
    package = Path(tg.__file__).parent
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--ignore-missing-imports",
        f"--cache-dir={tmp_path}",
        str(face),
    ]
    told = subprocess.run(command, capture_output=True, text=True, cwd=package.parent, check=False)
    assert told.stdout.startswith("Success"), told.stdout + told.stderr


def test_completion_shows_the_public_face_only() -> None:
    shown = [name for name in dir(tg) if not name.startswith("_")]
    modules = {name for name in shown if isinstance(getattr(tg, name), types.ModuleType)}
    assert modules == {"linalg", "random", "nn", "optim", "interop"}
    assert not {"Any", "annotations", "TYPE_CHECKING", "importlib"} & {*shown}
    assert {"tanh", "scan", "explain", "Tensor", "tensor", "float32", "ShapeError", "draw", "flow"} <= {
        *shown
    }
