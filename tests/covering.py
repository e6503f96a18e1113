"""Which cases of a test run every day: all values of its parameters, and on NumPy all pairs of values, but
not all combinations.

Most faults show in one value, or where two meet; those that take three are rare (Kuhn, Wallace and Gallo,
"Software fault interactions and implications for software testing", 2004). ``pytest --every`` runs all
combinations.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import pytest

Factors = Mapping[str, Hashable]
"""What is varied independently of each other, and which of its values a case has."""


def covering(cases: Sequence[Factors], strength: int) -> list[int]:
    """The places of a few cases in which all values meet that meet in any case.

    Args:
        strength: how many values must have met: 1 for each alone, 2 for pairs.
    """
    if all(len(case) <= strength for case in cases):
        return list(range(len(cases)))
    left = [set(_meetings(case, strength)) for case in cases]
    missing, chosen = set().union(*left), []
    while missing:
        best = max(range(len(left)), key=lambda place: len(left[place] & missing))
        missing -= left[best]
        chosen.append(best)
    return chosen


def _meetings(case: Factors, strength: int) -> Iterator[tuple[tuple[str, Hashable], ...]]:
    return itertools.combinations(case.items(), strength)


def some(values: Iterable[Any], each: int, first: int = 0) -> list[Any]:
    """Values of a parameter, of which each so many-th runs every day."""
    return [
        value
        if i % each == first
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.thorough)
        for i, value in enumerate(values)
    ]


def seeds(count: int, daily: int, step: int = 1) -> list[Any]:
    """Values of a parameter: ``range(0, count, step)``, of which so many of the first run every day."""
    values = range(0, count, step)
    return [*values[:daily], *(pytest.param(value, marks=pytest.mark.thorough) for value in values[daily:])]


def daily(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Of each test on each backend the cases that cover its parameters."""
    tests = collections.defaultdict[tuple[str, str], list[pytest.Item]](list)
    for item in items:
        if item.get_closest_marker("thorough") is None:
            tests[item.nodeid.partition("[")[0], _parameters(item).get("backend", "numpy")].append(item)
    chosen = set[pytest.Item]()
    for (_, backend), cases in tests.items():
        alone = backend == "cupy" or cases[0].get_closest_marker("each_value") is not None
        places = covering([_factors(case) for case in cases], 1 if alone else 2)
        chosen.update(cases[place] for place in places)
    return [item for item in items if item in chosen]


def once(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Of each test on each backend the first case, and all of those that are marked ``measured``. Measured,
    Python takes twice as long, and most cases go the ways of the first."""
    seen = set[tuple[str, str]]()
    chosen = []
    for item in items:
        test = item.nodeid.partition("[")[0], _parameters(item).get("backend", "numpy")
        measured = item.get_closest_marker("no_cover") is None
        if measured and (test not in seen or item.get_closest_marker("measured") is not None):
            chosen.append(item)
        seen.add(test)
    return chosen


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}


def _factors(item: pytest.Item) -> Factors:
    """The parameters of one decorator vary together. A value is known by its identity: a decorator's are the
    same for all cases."""
    together = {}
    for mark in item.iter_markers("parametrize"):
        names = mark.args[0].replace(" ", "").split(",") if isinstance(mark.args[0], str) else mark.args[0]
        together.update(dict.fromkeys(names, ",".join(names)))
    factors = collections.defaultdict[str, tuple[int, ...]](tuple)
    for name, value in _parameters(item).items():
        factors[together.get(name, name)] += (id(value),)
    factors.pop("backend", None)  # one and the same
    return factors
