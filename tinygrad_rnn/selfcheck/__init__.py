"""Whether this installation computes what it should, on one device: the command ``tinygrad-rnn check``.

The report is a dict of plain values, the same for every backend, to be sent with a bug report or kept beside
a measurement:

    schema          1; rises when the meaning of a field changes
    tinygrad_rnn, backend, quick, started (UTC), seconds
    passed          whether no item failed
    machine         names and versions of all that took part
    sections        rules, cells, layers, training, times; each with its name, its limit in seconds, the
                    seconds that it took, its items, and left_out: the names of items for which there was no
                    time
    items           each with name, passed, seconds; error and tolerance where numbers were compared (the
                    largest difference, relative to the largest number of the array or to 1; null where it is
                    not finite); traceback where it raised

What numbers are compared with is never the code under test: rules on a device with NumPy in float64, and on
NumPy itself with their proofs; cells and layers with the loop over time on NumPy's arrays; training with that
loop in float64.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .. import __version__
from . import layers, machine, rules, sequences, times, training
from .report import run_items

SCHEMA = 1
SECTIONS = (
    ("rules", rules.items, {"numpy": 8, "cupy": 95}),
    ("cells", sequences.items, {"numpy": 24, "cupy": 65}),
    ("layers", layers.items, {"numpy": 10, "cupy": 20}),
    ("training", training.items, {"numpy": 7, "cupy": 30}),
    ("times", times.items, {"numpy": 10, "cupy": 45}),
)
"""Name, items, and the seconds in which items begin: less than a minute on the processor, less than five on a
device, which compiles hundreds of kernels first."""


def run(
    backend: str = "numpy", quick: bool = False, say: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Check a backend.

    Args:
        backend: "numpy" or "cupy".
        quick: fewer operands, dtypes and sizes.
        say: is told a line after each section, and one for each item that failed.

    Raises:
        BackendError: there is no such backend here.
    """
    began, started = time.perf_counter(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    facts = machine.facts(backend)
    sections = []
    for name, items, limits in SECTIONS:
        section = run_items(name, items(backend, quick), limits[backend])
        sections.append(section)
        failed = [item for item in section["items"] if not item["passed"]]
        late = f", {len(section['left_out'])} left out" if section["left_out"] else ""
        say(
            f"{name}: {len(section['items']) - len(failed)} passed, {len(failed)} failed{late}, "
            f"{section['seconds']:.0f} s"
        )
        for item in failed:
            say(f"  {item['name']}: {_reason(item)}")
    return {
        "schema": SCHEMA,
        "tinygrad_rnn": __version__,
        "backend": backend,
        "quick": quick,
        "started": started,
        "seconds": round(time.perf_counter() - began, 1),
        "passed": all(item["passed"] for section in sections for item in section["items"]),
        "machine": {**facts, **machine.memory(backend)},
        "sections": sections,
    }


def _reason(item: dict[str, Any]) -> str:
    if "traceback" in item:
        return str(item["traceback"].strip().splitlines()[-1])
    return f"error {item['error']}, tolerance {item['tolerance']}"
