"""Compares what a student's backward pass returns with the library's residuals, and says where and how the
first wrong one is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .exercise import Drawn, Exercise
from .questions import EXERCISES

SEEDS = range(3)


@dataclass(frozen=True)
class Report:
    """What :func:`check` found; its text is for the student."""

    right: bool
    text: str

    def __repr__(self) -> str:
        return self.text


def check(number: str | int, backward: Callable[..., Any]) -> Report:
    """Runs ``backward`` on random inputs of the exercise and compares with the library's residuals."""
    exercise = EXERCISES[str(number)]
    heading = f"Exercise {number}: {exercise.title}\n"
    for seed in SEEDS:
        case = exercise.draw(np.random.default_rng(seed))
        answer = backward(*copy.deepcopy(case.arguments))
        lines, right = _compared(exercise, case, answer)
        if not right:
            return Report(False, heading + "\n".join(lines))
    return Report(True, heading + "\n".join([*lines, f"All right, for {len(SEEDS)} random inputs."]))


def _compared(exercise: Exercise, case: Drawn, answer: Any) -> tuple[list[str], bool]:
    """A line for each residual in the order of the way back, up to the first that is wrong."""
    missing = _missing(exercise, case, answer)
    if missing:
        return [missing], False
    names = [name for name in case.residuals if name in answer]
    width = max(map(len, names))
    lines = []
    for name in names:
        found, right = np.asarray(answer[name], dtype=float), case.residuals[name]
        label = f"  {name:{width}}  {found.shape!s}  "
        if found.shape == right.shape and np.allclose(found, right, rtol=1e-7, atol=1e-10):
            lines.append(label + "right")
            continue
        lines += [label + _where(found, right), f"  {'':{width}}  {_hint(exercise, case, name, found)}"]
        return lines, False
    return lines, True


def _missing(exercise: Exercise, case: Drawn, answer: Any) -> str:
    """What keeps an answer from being compared at all."""
    wanted = exercise.wanted or tuple(case.residuals)
    form = "{" + ", ".join(f'"{name}": …' for name in wanted) + "}"
    if not isinstance(answer, Mapping):
        return f"  The function returned {type(answer).__name__}, not a dict of residuals: return {form}."
    absent = [name for name in wanted if name not in answer or answer[name] is ...]
    return f"  Still to do: {', '.join(absent)}. Return {form}." if absent else ""


def _where(found: Any, right: Any) -> str:
    if found.shape != right.shape:
        return f"wrong: a residual has the shape of its value, {right.shape}"
    off = ~np.isclose(found, right, rtol=1e-7, atol=1e-10)
    first = tuple(int(i) for i in np.argwhere(off)[0])
    place = f", the first at {list(first)}" if first else ""
    return (
        f"wrong: {off.sum()} of {off.size} numbers{place}: {found[first]:.4g} instead of {right[first]:.4g}"
    )


def _hint(exercise: Exercise, case: Drawn, name: str, found: Any) -> str:
    """What the wrong residual is as if; the exercise's own mistakes come before those of every exercise."""
    for mistake in exercise.mistakes:
        wrong = mistake.wrong(case.values, case.residuals).get(name)
        if wrong is not None and np.shape(wrong) == found.shape and np.allclose(wrong, found):
            return f"As if {mistake.hint}."
    return _general_hint(found, case.residuals[name])


def _general_hint(found: Any, right: Any) -> str:
    if not np.isfinite(found).all():
        return "There are numbers in it that are not finite."
    if found.shape == right.shape[::-1] and np.allclose(found.T, right):
        return "As if transposed."
    if found.shape != right.shape:
        over = tuple(range(found.ndim - right.ndim))
        summed = found.sum(axis=over)
        if over and summed.shape == right.shape and np.allclose(summed, right):
            return "As if the sum over the batch were missing: each row used the same value."
        return "No known mistake has this shape."
    if not found.any():
        return "As if no residual arrived: all of it is 0."
    factor = float(np.vdot(found, right) / np.vdot(right, right))
    if np.allclose(found, factor * right):
        return f"It is {factor:.4g} times the right one everywhere."
    return (
        "No known mistake looks like this. Return the residuals of intermediate values, too: the first wrong "
        "one tells."
    )
