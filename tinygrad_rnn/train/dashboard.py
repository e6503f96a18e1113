"""How a training went, over its steps, in one figure; several of them over each other."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy

from .. import arguments
from ..colours import INK, LINES
from ..errors import ArgumentError
from ..reading.words import formatted, percent, plain
from .course import Course, Series, course_of
from .history import History
from .panels import Level, Line, Panel, figure_of

_Training = History | str | os.PathLike[str]

COLORS = (*LINES, "#5D5D5D")

_STYLES = ("-", (0, (5, 1.5)), (0, (1.5, 1.5)), (0, (5, 1.5, 1, 1.5)))
"""Of lines; the next one where colours begin anew."""

_SMOOTHED = 50
"""A line through noise has about so many bends."""

_HORIZON = "horizon: steps back that 1 % of the residual reaches"

_MARKED = 60
"""Up to so many evaluations each has a dot."""


def dashboard(training: _Training | Sequence[_Training] | Mapping[str, _Training]) -> Any:
    """How a training went: loss, what was held out with the model that was kept, the gradient's norm, the
    learning rate, and what else is known of it, above each other over the steps. Several trainings are drawn
    over each other.

    A run of ``tinygrad-rnn train`` also tells its horizon, its saturated gates, and what a blind guess takes:
    the loss of who knows only how often each character, or word, stands in the text.

    >>> history = tg.train.History([{"step": 10, "loss": 0.5}, {"step": 20, "loss": 0.25}])
    >>> figure = tg.train.dashboard(history)
    >>> [axes.get_title(loc="left") for axes in figure.axes]
    ['loss']

    Args:
        training: what :func:`fit` returned, or the folder of a training; or several of them, in a list or by
            name.

    Returns:
        A matplotlib figure, which a notebook shows, and ``savefig`` writes.

    Raises:
        ArgumentError: there is none, or their losses are told in different units.
        CheckpointError: a folder holds no training.
        DataError: one has told nothing yet.
        DrawError: matplotlib is not installed.
    """
    courses = _courses(training)
    if len(courses) == 1:
        return _alone(courses[0])
    courses = [course.by_character() for course in courses]
    units = list(dict.fromkeys(course.unit for course in courses))
    if len(units) > 1:
        raise ArgumentError(f"dashboard: the losses are told in different units: {' and '.join(units)}")
    return _over_each_other(courses)


def _courses(training: Any) -> list[Course]:
    """
    Raises:
        ArgumentError: there is none.
    """
    pairs: list[tuple[Any, str | None]]
    if isinstance(training, (History, str, os.PathLike)):
        return [course_of(training)]
    if isinstance(training, Mapping):
        named = arguments.mapping("dashboard: training", training)
        pairs = [(one, arguments.text("dashboard: training", name)) for name, one in named.items()]
    elif isinstance(training, (list, tuple)):
        pairs = [(one, None) for one in training]
    else:
        raise arguments.refused("dashboard: training", "a history, a folder, or several of them", training)
    if not pairs:
        raise ArgumentError("dashboard: training: there is none: give a history, or the folder of a training")
    for one, _ in pairs:
        if not isinstance(one, (History, str, os.PathLike)):
            raise arguments.refused("dashboard: training", "histories, or folders of trainings", one)
    names = _names([one for one, _ in pairs])
    return [course_of(one, name or other) for (one, name), other in zip(pairs, names, strict=True)]


def _names(trainings: Sequence[Any]) -> list[str]:
    """For each folder as much of its path's end as tells it from the others."""
    parts = [
        [f"training {i}"] if isinstance(one, History) else os.path.abspath(one).split(os.sep)
        for i, one in enumerate(trainings, 1)
    ]
    ends = [1] * len(parts)
    while True:
        names = [os.sep.join(part[-end:]) for part, end in zip(parts, ends, strict=True)]
        longer = [
            end + 1 if names.count(name) > 1 and end < len(part) else end
            for name, part, end in zip(names, parts, ends, strict=True)
        ]
        if longer == ends:
            return names
        ends = longer


# -- one training --------------------------------------------------------------------------------------------


def _alone(course: Course) -> Any:
    panels = [
        _loss(course),
        *_norm(course),
        *_rate(course),
        *_horizon(course),
        *_gates(course),
        *_metrics(course),
    ]
    upright = [] if course.best is None else [course.best[0]]
    steps = f"{course.last:,} step{'s' * (course.last != 1)}"
    what = f"{course.model}, {steps}" if course.model else steps
    return figure_of(f"{plain(course.name, 36)}: {what}", "", panels, upright)


def _loss(course: Course) -> Panel:
    lines: list[Line] = []
    note = ""
    training, held_out, best = course.series.get("loss"), course.series.get("held out"), course.best
    if training is not None:
        lines, width = _noisy(training, COLORS[0], "training")
        note = f"faint: each step; line: mean of {width:,}" if width > 1 else ""
    if held_out is not None:
        name = "held out" if best is None else f"held out, kept {best[1]:.4g} at step {best[0]:,}"
        lines.append(Line(held_out, COLORS[1], name, _dotted(held_out)))
    levels = [] if course.blind is None else [_blind(course.blind)]
    points = [] if best is None else [(*best, COLORS[1])]
    return Panel(_title(course), lines, levels, points, note, height=2.6)


def _blind(bits: float) -> Level:
    return Level(bits, f"blind guess {formatted(bits, 3)}")


def _title(course: Course) -> str:
    return course.unit if course.unit == "loss" else f"loss, {course.unit}"


def _noisy(series: Series, color: str, name: str, log: bool = False) -> tuple[list[Line], int]:
    """A line that is smoothed where it has many values, and then what it was, faint; and of how many each
    value is the mean."""
    smooth, width = _smooth(series, log)
    if width == 1:
        return [Line(series, color, name)], 1
    return [Line(series, color, look={"linewidth": 0.6, "alpha": 0.35}), Line(smooth, color, name)], width


def _smooth(series: Series, log: bool = False) -> tuple[Series, int]:
    """Means of so many values each; on a logarithmic axis of their logarithms."""
    width = len(series) // _SMOOTHED | 1
    if not log:
        return series.smoothed(width), width
    with numpy.errstate(divide="ignore", invalid="ignore"):
        means = Series(series.steps, numpy.log(series.values)).smoothed(width)
    return Series(means.steps, numpy.exp(means.values)), width


def _dotted(series: Series) -> dict[str, Any]:
    return {"marker": "o", "markersize": 3.5} if len(series) <= _MARKED else {}


def _norm(course: Course) -> Iterator[Panel]:
    series = course.series.get("norm")
    if series is None:
        return
    lines, _ = _noisy(series, COLORS[2], "", log=True)
    levels, note = [], ""
    if course.clip is not None:
        levels = [_clip(course.clip)]
        known = series.finite.values
        above = float(numpy.mean(known > course.clip)) if len(known) else 0.0
        note = f"clipped in {percent(above)} of {len(known):,} steps"
    yield Panel("gradient norm", lines, levels, note=note, scale="log")


def _clip(norm: float) -> Level:
    return Level(norm, f"clipped above {formatted(norm, 3)}")


def _rate(course: Course) -> Iterator[Panel]:
    if "rate" in course.series:
        yield Panel("learning rate", [Line(course.series["rate"], INK)], scale="linear")


def _horizon(course: Course) -> Iterator[Panel]:
    series = course.series.get("horizon")
    if series is not None:
        levels = [] if course.looked is None else [Level(course.looked, f"looked {course.looked} back")]
        lines = [Line(series, INK, look={"drawstyle": "steps-post"})]
        yield Panel(_HORIZON, lines, levels)


def _gates(course: Course) -> Iterator[Panel]:
    """A line for each gate; those of another layer have another style."""
    lines = [
        Line(series, COLORS[i % len(COLORS)], name, {**_dotted(series), "linestyle": _style(i)})
        for i, (name, series) in enumerate(course.gates.items())
    ]
    if lines:
        yield Panel("saturated gates: share of slopes below 0.01", lines, scale="share")


def _style(i: int) -> Any:
    return _STYLES[i // len(COLORS) % len(_STYLES)]


def _metrics(course: Course) -> Iterator[Panel]:
    for name, series in course.metrics.items():
        yield Panel(name, [Line(series, INK, look=_dotted(series))])


# -- several -------------------------------------------------------------------------------------------------


def _over_each_other(courses: Sequence[Course]) -> Any:
    colors = [COLORS[i % len(COLORS)] for i in range(len(courses))]
    looks = [{"linestyle": _style(i)} for i in range(len(courses))]
    told = list(zip(courses, colors, looks, strict=True))
    panels = [_losses(told)]
    clips = {course.clip for course in courses}
    clip = clips.pop() if len(clips) == 1 else None
    for title, what, scale in (
        ("gradient norm", "norm", "log"),
        ("learning rate", "rate", "linear"),
        (_HORIZON, "horizon", ""),
    ):
        levels = [_clip(clip)] if what == "norm" and clip is not None else []
        panels += _together(title, told, [course.series.get(what) for course in courses], scale, levels)
    panels += _together("saturated gates: mean of all", told, [_mean(c.gates) for c in courses], "share")
    for name in dict.fromkeys(name for course in courses for name in course.metrics):
        panels += _together(name, told, [course.metrics.get(name) for course in courses])
    apart = len({course.text for course in courses}) > 1
    note = "the runs learned from different texts: their losses do not compare" if apart else ""
    return figure_of(f"{len(courses)} trainings over each other", note, panels)


def _losses(told: Sequence[tuple[Course, str, dict[str, Any]]]) -> Panel:
    """What was held out, before what it was trained on; and the model that was kept of each."""
    lines, points, smoothed = [], [], ""
    for course, color, look in told:
        training, held_out = course.series.get("loss"), course.series.get("held out")
        if training is not None:
            smooth, width = _smooth(training)
            smoothed = ", smoothed" if width > 1 else smoothed
            faint = {"linewidth": 0.8, "alpha": 0.45} if held_out is not None else {}
            lines.append(Line(smooth, color, "" if held_out is not None else course.name, {**look, **faint}))
        if held_out is not None:
            best = "" if course.best is None else f"{course.best[1]:.4g}  "
            lines.append(Line(held_out, color, f"{best}{course.name}", look))
        if course.best is not None:
            points.append((*course.best, color))
    blind = {course.blind for course, *_ in told if course.blind is not None}
    levels = [*map(_blind, sorted(blind))]
    apart = any("held out" in course.series for course, *_ in told)
    note = f"fine: training{smoothed}; strong: held out" if apart else smoothed[2:]
    note += "; ring: kept" if points else ""
    return Panel(_title(told[0][0]), lines, levels, points, note, height=2.8)


def _together(
    title: str,
    told: Sequence[tuple[Course, str, dict[str, Any]]],
    series: Sequence[Series | None],
    scale: str = "",
    levels: Sequence[Level] = (),
) -> Iterator[Panel]:
    """A panel with a line for each training that tells of it."""
    lines, note = [], ""
    for (course, color, look), one in zip(told, series, strict=True):
        if one is not None and len(one):
            shown, width = _smooth(one, log=True) if scale == "log" else (one, 1)  # which is what is noisy
            note = "smoothed" if width > 1 else note
            lines.append(Line(shown, color, course.name, look))
    if lines:
        yield Panel(title, lines, levels, note=note, scale=scale)


def _mean(gates: Mapping[str, Series]) -> Series | None:
    """Of all gates, at the steps where any was looked at."""
    if not gates:
        return None
    pairs = sorted(
        itertools.chain.from_iterable(zip(one.steps, one.values, strict=True) for one in gates.values())
    )
    steps, places = numpy.unique([step for step, _ in pairs], return_inverse=True)
    values = numpy.array([value for _, value in pairs])
    return Series(steps, numpy.bincount(places, values) / numpy.bincount(places))
