"""The one gate: ``python -m tests`` checks format, lint and types, then runs the tests, and stops at the
first that fails.

``python -m tests --coverage`` measures how much of the package one case of each test reaches, of those that
compare with other frameworks, too, without which rooms such as that of ONNX are hardly entered.
``python -m tests --browser`` opens pages and pictures in Chromium (``apt install chromium chromium-driver``).
``python -m tests --slow`` runs the tests that take more than a few seconds each, which the gate leaves out.
``python -m tests --every`` runs all tests with all combinations of parameters and all seeds, where the gate
runs some (see ``covering.py``), and then those of the gate on the stand-in for CuPy. ``python -m tests
--peer`` runs the tests that compare with PyTorch, JAX and CuPy (``pip install -e '.[test,peer]'``); those
whose framework is not installed are skipped, and listed as skipped. ``python -m tests --twins`` trains the
book's jobs and their twins in PyTorch over several seeds. ``python -m tests --wheels 4`` builds
what users install and tries it on each Python that is found, four at least (``pip install -e '.[dev]'``).
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

# Who collects tests/peers imports PyTorch and JAX, in each worker, before the marker is looked at.
PYTEST = "pytest -n 2 --dist worksteal --ignore tests/peers"
CHECKS = {
    "format": "ruff format --check .",
    "lint": "ruff check .",
    "types": "mypy",
    "tests": PYTEST,
}
COVERAGE = {
    "coverage of tests": f"{PYTEST} --once --cov --cov-report=",
    "coverage": (
        "pytest -n 2 -m 'peer and not slow' --once --cov --cov-append --cov-report term:skip-covered "
        "--cov-fail-under 95"
    ),
}
SLOW = {"slow tests": f"{PYTEST} -m 'slow and not peer and not cupy'"}
BROWSER = {"pages and pictures in a browser": f"{PYTEST} -m browser"}
EVERY = {
    "every test": f"{PYTEST} -m 'not peer and not cupy' --every",
    "tests on the stand-in for CuPy": f"{PYTEST} --backend cupy",
}
PEER = {"peer tests": "pytest -n 2 -m '(peer and not slow) or cupy'"}
TWINS = {"twins of the jobs": "pytest -m 'peer and slow'"}  # alone on the machine: they are timed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__.partition("\n")[0])
    parser.add_argument("--coverage", action="store_true", help="measure what one case of each test reaches")
    parser.add_argument("--slow", action="store_true", help="run what the gate leaves out since it is slow")
    parser.add_argument("--browser", action="store_true", help="look at pages and pictures in Chromium")
    parser.add_argument("--peer", action="store_true", help="compare with PyTorch, JAX and CuPy instead")
    parser.add_argument("--twins", action="store_true", help="train the book's jobs beside PyTorch")
    parser.add_argument(
        "--every", action="store_true", help="run every combination of parameters and every seed"
    )
    parser.add_argument(
        "--wheels", type=int, metavar="N", help="build, install and try it on N versions of Python or more"
    )
    chosen = parser.parse_args()
    others = [
        (chosen.coverage, COVERAGE),
        (chosen.slow, SLOW),
        (chosen.browser, BROWSER),
        (chosen.every, EVERY),
        (chosen.peer, PEER),
        (chosen.twins, TWINS),
        (chosen.wheels is not None, {"wheels": f"tests.wheels {chosen.wheels}"}),
    ]
    checks = next((checks for wanted, checks in others if wanted), CHECKS)
    for name, command in checks.items():
        print(f"== {name}: {command}", flush=True)
        began = time.monotonic()
        status = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)], cwd=Path(__file__).parent.parent
        ).returncode
        outcome = f"failed with exit status {status}" if status else "passed"
        print(f"== {name}: {outcome} after {time.monotonic() - began:.0f} s", flush=True)
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
