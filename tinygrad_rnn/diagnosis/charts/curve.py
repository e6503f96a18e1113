"""How much of a residual is left, as lines on an axis of powers of ten."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from ...colours import LINES, NOT_FINITE
from ..track import REACH, Track
from .figure import (
    DASHES,
    LIMIT,
    SMALL,
    figure_for,
    plain_axes,
    powers,
    refuse_nothing,
    scale,
    titled,
)

_ABOVE = 200
"""The highest power of ten on the axis, which leaves room above, and that must be a number too."""

_COLUMNS = 100
"""Characters of a verdict in a line of the legend."""


def curve(tracks: Sequence[Track]) -> Any:
    """How much of the residual is left after so many steps back, and where 1 % is."""
    refuse_nothing(tracks)
    figure = figure_for("the curve", (7.5, 3.2 + legend_inches(tracks)))
    axes = figure.subplots()
    limits = left_scale(tracks, above=_ABOVE)
    draw_left(axes, tracks, lambda track: numpy.arange(len(track.remaining)), limits)
    axes.set_xlabel("steps back", fontsize=SMALL)
    felt = [numpy.flatnonzero(~(track.remaining < 10 ** limits[0])).max(initial=1) for track in tracks]
    axes.set_xlim(0, min(1.2 * max(felt), max(len(track.remaining) - 1 for track in tracks) or 1))
    titled(figure, heading(tracks, "how much of it is left"))
    return figure


def left_scale(tracks: Sequence[Track], above: float) -> tuple[float, float]:
    """The powers of ten between which what is left lies, none higher than given."""
    finite = [left[numpy.isfinite(left) & (left > 0)] for left in (track.remaining for track in tracks)]
    return scale(
        [left.max(initial=1.0) for left in finite], [left.min(initial=1.0) for left in finite], above
    )


def draw_left(
    axes: Any,
    tracks: Sequence[Track],
    places: Callable[[Track], numpy.ndarray],
    limits: tuple[float, float],
) -> None:
    """A line for each chain, what is left of its residual, with its verdict above; and the line of 1 %.

    Args:
        places: for a chain, where on the axis the residual is after 0, 1, 2, … steps back.
        limits: the powers of ten between which sizes are shown.
    """
    low, high = limits
    axes.set(yscale="log", ylim=(10 ** (low - 0.03 * (high - low)), 10 ** (high + 0.03 * (high - low))))
    marks, words = powers(low, high)
    axes.set_yticks([10**mark for mark in marks], words)
    axes.minorticks_off()
    odd: list[float] = []
    for i, track in enumerate(tracks):
        x, left = places(track), track.remaining
        broken = ~numpy.isfinite(left)
        # nothing at all is below the axis, and what ends there is seen to go down
        line = numpy.where(broken, numpy.nan, numpy.maximum(left, 10 ** (low - 1)))
        style = {"color": LINES[i % len(LINES)], "linestyle": DASHES[i % len(DASHES)]}
        text = "\n".join(textwrap.wrap(str(track.verdict()), _COLUMNS, subsequent_indent="  "))
        axes.plot(x, line, **style, label=text)
        odd.extend(x[broken])
    if odd:
        axes.plot(
            odd, numpy.ones(len(odd)), "s", color=NOT_FINITE, markersize=4, clip_on=False,
            transform=axes.get_xaxis_transform(), label="NaN or infinite", in_layout=False,
        )  # fmt: skip
    axes.axhline(REACH, color=LIMIT, linewidth=1, linestyle=(0, (4, 3)))
    axes.annotate(
        "1 %", (1, REACH), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
        va="center", fontsize=SMALL, color=LIMIT,
    )  # fmt: skip
    legend = axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.02),
        borderaxespad=0,
        frameon=False,
        fontsize=SMALL,
        handlelength=2.6,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    axes.set_ylabel("residual left", fontsize=SMALL)
    axes.grid(alpha=0.3)
    plain_axes(axes)


def legend_inches(tracks: Sequence[Track]) -> float:
    """How high the verdicts above are."""
    return 0.18 * sum(1 + len(str(track.verdict())) // _COLUMNS for track in tracks)


def heading(tracks: Sequence[Track], words: str) -> str:
    """A title that says which steps the residual comes into, and what of it is shown."""
    ends = dict.fromkeys(track.chain.labels[track.last] for track in tracks if track.last is not None)
    if not ends:
        return "No residual comes into the time steps"
    steps = f"step{'s' * (len(ends) > 1)} {' and '.join(map(str, ends))}"
    return f"The residual that comes in at {steps}: {words}"
