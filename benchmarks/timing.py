"""How everything here is measured: blocks of runs that alternate between the contestants, medians, ratios."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version

BLOCKS = 2


def medians(contestants: dict[str, Callable[[], object]], seconds: float = 1.0) -> dict[str, float]:
    """The median time of each in milliseconds, the less of those of two blocks.

    They take turns, so that what else the machine does meets all alike, and a turn is a block of so many
    seconds: after a call that shared its work its threads look out for more for a while, and take a core from
    whoever comes next.
    """
    for run in contestants.values():
        run()
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(BLOCKS):
        for name, run in contestants.items():
            time.sleep(0.05)
            run()
            found[name].append(_median(run, seconds))
    return {name: 1e3 * min(times) for name, times in found.items()}


def _median(run: Callable[[], object], seconds: float) -> float:
    times: list[float] = []
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def machine() -> str:
    """What the numbers were measured on."""
    versions = []
    for package in ("numpy", "llvmlite", "torch", "jax", "autograd"):
        try:
            versions.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            versions.append(f"{package} -")
    return f"{_processor()}, Python {platform.python_version()}, {', '.join(versions)}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
