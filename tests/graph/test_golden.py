"""Pictures to the byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.graph.scenes import GOLDEN, GOLDENS


@pytest.mark.numpy_only
@pytest.mark.parametrize("name", GOLDENS)
def test_golden_text(name):
    assert GOLDENS[name]().dot == (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")


def test_text_is_the_same_in_processes_with_other_hashes():
    program = "from tests.graph.scenes import GOLDENS; print(GOLDENS['lstm']().dot)"
    told = set()
    for seed in "01":
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        told.add(
            subprocess.run(
                [sys.executable, "-c", program],
                cwd=Path(__file__).parents[2],
                env=environment,
                capture_output=True,
                check=True,
            ).stdout
        )
    assert len(told) == 1
