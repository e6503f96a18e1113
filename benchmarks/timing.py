"""How everything here is measured: rounds that alternate between the contestants, medians, ratios."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version


def medians(contestants: dict[str, Callable[[], object]], seconds: float = 3.0, least: int = 3) -> dict[str, float]:
    """The median time of each in milliseconds. They take turns, so that noise of the machine meets all alike; each turn is a few calls, the
    first of which does not count: thread pools of the one before may still be spinning."""
    for run in contestants.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    end = time.perf_counter() + seconds
    rounds = 0
    while time.perf_counter() < end or rounds < least:
        rounds += 1
        for name, run in contestants.items():
            time.sleep(0.01)
            run()
            turn_end = time.perf_counter() + 0.05
            while True:
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
                if time.perf_counter() > turn_end:
                    break
    return {name: 1e3 * statistics.median(taken) for name, taken in times.items()}


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
