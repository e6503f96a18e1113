"""Panels of a dashboard, on one axis of steps: lines with their names at their ends, off the data."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from typing import Any

import numpy

from ..colours import INK, NOT_FINITE
from ..diagnosis.charts import figure_for
from ..reading.words import formatted, plain
from .course import Series

_GREY = "#777777"

_WIDE = 50.0
"""From this ratio of the largest to the least value on an axis is logarithmic: where a training explodes, the
rest would be a flat line."""

_LINE = 0.155
"""Inches from one name to the next below it."""


@dataclasses.dataclass(frozen=True)
class Line:
    """A series as a panel shows it.

    Attributes:
        name: written at its end; "" for none.
        look: what matplotlib's ``plot`` takes.
    """

    series: Series
    color: str
    name: str = ""
    look: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Level:
    """A value that holds at every step."""

    value: float
    name: str
    color: str = _GREY


@dataclasses.dataclass(frozen=True)
class Panel:
    """What stands above each other on one axis of values.

    Attributes:
        title, note: what it shows, and more about it.
        points: steps and values that are marked.
        scale: "log", "linear", "share" from 0 to 1; or "" for what suits the values.
        height: in inches, at least; with many names more.
    """

    title: str
    lines: Sequence[Line]
    levels: Sequence[Level] = ()
    points: Sequence[tuple[int, float, str]] = ()
    note: str = ""
    scale: str = ""
    height: float = 1.25

    @property
    def inches(self) -> float:
        names = sum(bool(line.name) for line in self.lines) + len(self.levels)
        return max(self.height, 0.35 + _LINE * names)


def figure_of(title: str, note: str, panels: Sequence[Panel], upright: Sequence[int] = ()) -> Any:
    """A figure of panels.

    Args:
        title, note: above all of them.
        upright: steps where a fine line goes through all.
    """
    heights = [panel.inches for panel in panels]
    figure = figure_for("a dashboard", (9, 0.9 + sum(height + 0.38 for height in heights)))
    rows = figure.subplots(len(panels), sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    ticker = importlib.import_module("matplotlib.ticker")
    for axes, panel, height in zip(rows, panels, heights, strict=True):
        _draw(axes, panel, ticker)
        for step in upright:
            axes.axvline(step, color="#BBBBBB", linewidth=0.8, linestyle=(0, (1, 2)), zorder=0)
        _write_names(axes, panel, height)
    _set_steps(rows[-1], panels, ticker)
    _write(figure.suptitle, title, x=0.012, ha="left", fontsize=12, fontweight="bold", color=INK)
    if note:
        figure.supxlabel(note, x=0.012, ha="left", fontsize=8.5, color=_GREY).set_parse_math(False)
    return figure


def _write(write: Any, text: str, **look: Any) -> None:
    write(plain(text, 80), **look).set_parse_math(False)


def _draw(axes: Any, panel: Panel, ticker: Any) -> None:
    """Lines, levels, marks, and the axis of values."""
    for line in panel.lines:
        thin = line.series.thinned()
        finite = numpy.isfinite(thin.values)
        values = numpy.where(finite, thin.values, numpy.nan)
        look = {"linewidth": 1.4, "solid_capstyle": "round", **line.look}
        if len(thin) == 1 and not look.get("marker"):
            look |= {"marker": "o", "markersize": 4}
        axes.plot(thin.steps, values, color=line.color, **look)
        if not finite.all():
            broken = thin.steps[~finite]
            axes.plot(
                broken, numpy.full(len(broken), 0.94), "x", color=NOT_FINITE, markersize=6, clip_on=False,
                transform=axes.get_xaxis_transform(),
            )  # fmt: skip
    for level in panel.levels:
        axes.axhline(level.value, color=level.color, linewidth=1, linestyle=(0, (4, 2)), zorder=3)
    for step, value, color in panel.points:
        axes.plot(
            [step], [value], "o", markersize=8, color=color, markerfacecolor="none", markeredgewidth=1.6
        )
    _set_values(axes, panel, ticker)
    axes.set_title(plain(panel.title, 60), loc="left", fontsize=9.5, color=INK, parse_math=False)
    axes.set_title(panel.note, loc="right", fontsize=8, color=_GREY, parse_math=False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.tick_params(labelsize=8, colors="#444444", which="both")


def _set_values(axes: Any, panel: Panel, ticker: Any) -> None:
    levels = numpy.array([level.value for level in panel.levels], float)
    known = numpy.concatenate([levels, *(line.series.finite.values for line in panel.lines)])
    positive = known[known > 0]
    wide = 0 < len(known) == len(positive) and known.max() > _WIDE * known.min()
    if panel.scale == "share":
        axes.set_ylim(-0.02, max(0.1, 1.08 * float(known.max(initial=0.0))))
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_locator(ticker.MaxNLocator(4, steps=[1, 2, 5, 10]))
    elif (panel.scale == "log" and len(positive)) or (not panel.scale and wide):
        axes.set_yscale("log")
        narrow = float(positive.max()) < 100 * float(positive.min())
        axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=6))
        axes.yaxis.set_minor_locator(ticker.NullLocator())
        axes.yaxis.set_major_formatter(lambda y, _place: formatted(y, 2))
    else:
        axes.yaxis.set_major_locator(ticker.MaxNLocator(round(3 * panel.height), steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(lambda y, _place: f"{y:,.6g}")


def _set_steps(axes: Any, panels: Sequence[Panel], ticker: Any) -> None:
    """The axis that all panels have."""
    known = [line.series.steps for panel in panels for line in panel.lines if len(line.series)]
    first, last = min(steps[0] for steps in known), max(steps[-1] for steps in known)
    room = 0.01 * (last - first) or 1.0
    axes.set_xlim(first - room, last + room)
    axes.xaxis.set_major_locator(ticker.MaxNLocator(8, integer=True, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(lambda x, _place: f"{x:,.0f}")
    axes.set_xlabel("step", fontsize=9, color="#444444")


def _write_names(axes: Any, panel: Panel, height: float) -> None:
    """The names of lines and levels on the right, each as near to its end as the others leave room."""
    axes.set_ylim(axes.get_ylim())  # from here on nothing moves
    to_axes = axes.transScale + axes.transLimits
    names = [(level.name, level.color, level.value) for level in panel.levels]
    for line in panel.lines:
        known = line.series.finite.values
        if line.name:
            names.append((line.name, line.color, known[-1] if len(known) else numpy.nan))
    ends = [float(to_axes.transform((0, value))[1]) if numpy.isfinite(value) else 0.9 for *_, value in names]
    if any(not numpy.isfinite(line.series.values).all() for line in panel.lines):
        names, ends = [*names, ("× not finite", NOT_FINITE, 0.0)], [*ends, 0.94]
    for (name, color, _), place in zip(names, spread(ends, _LINE / height), strict=True):
        axes.annotate(
            plain(name, 36), (1, place), xycoords="axes fraction", xytext=(7, 0), textcoords="offset points",
            va="center", fontsize=8.5, color=darker(color), annotation_clip=False, parse_math=False,
        )  # fmt: skip


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Places near the given ones, in their order, with so much room between each and the next; within 0 and
    1, if there is room for all.

    Neighbours that are too near become a block about their mean, until no two blocks touch.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    blocks: list[list[int]] = []
    middles: list[float] = []
    for i in order:
        block = [i]
        middle = _inside(places[i], gap)
        while blocks and middle - middles[-1] < gap * (len(block) + len(blocks[-1])) / 2:
            block = blocks.pop() + block
            middles.pop()
            middle = _inside(sum(places[j] for j in block) / len(block), gap * len(block))
        blocks.append(block)
        middles.append(middle)
    found = [0.0] * len(places)
    for block, middle in zip(blocks, middles, strict=True):
        for at, i in enumerate(block):
            found[i] = middle + gap * (at - (len(block) - 1) / 2)
    return found


def _inside(middle: float, size: float) -> float:
    """The middle of what is so large, moved to where all of it lies within 0 and 1."""
    return min(max(middle, size / 2), max(1 - size / 2, 0.5))


def darker(color: str) -> str:
    """The colour for text, which needs more contrast on white."""
    parts = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(0.65 * part):02X}" for part in parts)
