"""The one gate: ``python -m tests`` checks format, lint and types, then runs the tests with coverage, and
stops at the first that fails.

``python -m tests --every`` runs all combinations of parameters and all seeds, where the gate runs some (see
``covering.py``), and measures no coverage. ``python -m tests --peer`` runs the tests that compare with
PyTorch and JAX (``pip install -e '.[test,peer]'``); those whose framework is not installed are skipped, and
listed as skipped. ``python -m tests --wheels 4`` builds what users install and tries it on each Python that
is found, four at least (``pip install -e '.[dev]'``).
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from pathlib import Path

# Who collects tests/peers imports PyTorch and JAX, in each worker, before the marker is looked at.
CHECKS = {
    "format": "ruff format --check .",
    "lint": "ruff check .",
    "types": "mypy",
    "tests": (
        "pytest -n 2 --dist worksteal -m 'not peer' --ignore tests/peers --cov --cov-report "
        "term:skip-covered --cov-fail-under 95"
    ),
}
EVERY = {"every test": "pytest -n 2 --dist worksteal -m 'not peer' --ignore tests/peers --every"}
PEER = {"peer tests": "pytest -n 2 -m peer"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__.partition("\n")[0])
    parser.add_argument("--peer", action="store_true", help="compare with PyTorch and JAX instead")
    parser.add_argument(
        "--every", action="store_true", help="run every combination of parameters and every seed"
    )
    parser.add_argument(
        "--wheels", type=int, metavar="N", help="build, install and try it on N versions of Python or more"
    )
    chosen = parser.parse_args()
    checks = PEER if chosen.peer else EVERY if chosen.every else CHECKS
    if chosen.wheels is not None:
        checks = {"wheels": f"tests.wheels {chosen.wheels}"}
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
