"""Items and sections of the report, and how far numbers are apart."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any

import numpy

from ..errors import DtypeError

Facts = dict[str, Any]
Item = tuple[str, Callable[[], Facts]]
"""A name, and what measures it. Facts that have an ``error`` have the ``tolerance`` that it is held to."""


def run_items(name: str, items: Iterable[Item], limit: float) -> Facts:
    """One section. No item stops the others, whatever it raises: that it was raised is what the report is
    for.

    Args:
        limit: seconds after which no new item begins.
    """
    began = time.perf_counter()
    measured: list[Facts] = []
    left_out: list[str] = []
    for title, measure in items:
        start = time.perf_counter()
        if start - began >= limit:
            left_out.append(title)
            continue
        try:
            facts = measure()
            passed = "error" not in facts or bool(facts["error"] <= facts["tolerance"])
        except Exception:
            facts, passed = {"traceback": traceback.format_exc()}, False
        if not math.isfinite(facts.get("error", 0)):
            facts["error"] = None  # JSON has no name for it
        measured.append(
            {"name": title, "passed": passed, "seconds": round(time.perf_counter() - start, 4), **facts}
        )
    return {
        "name": name,
        "limit": limit,
        "seconds": round(time.perf_counter() - began, 1),
        "items": measured,
        "left_out": left_out,
    }


def compared(found: list[numpy.ndarray], expected: list[numpy.ndarray], tolerance: float) -> Facts:
    """The largest deviation among pairs of arrays; an error where there are more of one than of the other."""
    errors = [deviation(a, b) for a, b in zip(found, expected, strict=True)]
    return {"error": float(numpy.max(errors, initial=0.0)), "tolerance": tolerance}  # numpy's max keeps NaN


def deviation(found: numpy.ndarray, expected: numpy.ndarray) -> float:
    """The largest difference, relative to the largest finite number that is expected or to 1 (what goes in is
    of that size, and sums may cancel); infinite where shapes, NaN or infinities differ."""
    finite = numpy.isfinite(expected)
    if found.shape != expected.shape or not numpy.array_equal(
        found[~finite], expected[~finite], equal_nan=True
    ):
        return math.inf
    difference = numpy.abs(found[finite].astype(float) - expected[finite])
    size = numpy.max(numpy.abs(expected[finite].astype(float)), initial=1.0)
    return float(numpy.max(difference, initial=0.0) / size)


def same_dtypes(found: list[numpy.ndarray], expected: list[numpy.ndarray]) -> None:
    """Raises DtypeError where they differ."""
    dtypes = [[str(x.dtype) for x in arrays] for arrays in (found, expected)]
    if dtypes[0] != dtypes[1]:
        raise DtypeError(f"the results have dtypes {dtypes[0]}, on NumPy {dtypes[1]}")
