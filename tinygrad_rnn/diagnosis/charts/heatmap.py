"""Where in time a residual is still felt: time × state and named value, and what is left of it above."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ...colours import NOT_FINITE
from ...reading.words import formatted, short
from ..track import REACH, Track
from .curve import draw_left, heading, left_scale, legend_inches
from .figure import (
    DECADES,
    GREY,
    LIMIT,
    PALE,
    SMALL,
    figure_for,
    library,
    plain_axes,
    pooled,
    powers,
    refuse_nothing,
    scale,
    shades,
    time_axis,
    titled,
)

_WIDTH, _ROW = 9.0, 0.2
"""Inches of the figure, and of a row."""

_MOST = 1200
"""Columns that a figure of that width can show."""

_ABOVE = DECADES - 2
"""The power of ten from which on all is darkest, so that 1 % is on the scale too."""

_LETTERS = 24
"""Of a name."""


@dataclass(frozen=True)
class _Group:
    """Rows that belong together: of one chain the states, or the other named values.

    Attributes:
        kind: "states" or "gates".
        title: what stands above them.
        names: a name for each row.
        rows: (names, times), as parts of what came in; 0 where nothing arrives.
        reach: for each row where on the axis of time 1 % arrives for the last time on the way back; NaN
            where that is at the end of the axis, or nowhere, or what lies further back is not finite.
        top: at which height they begin, in rows.
    """

    kind: str
    title: str
    names: list[str]
    rows: numpy.ndarray
    reach: list[float]
    top: float

    @property
    def bottom(self) -> float:
        return self.top + len(self.names)


def heatmap(tracks: Sequence[Track]) -> Any:
    """Time × state and named value, coloured by the size of the residual that arrives there; above, on the
    same axis, how much of it is left."""
    refuse_nothing(tracks)
    times = sorted({label for track in tracks for label in track.chain.labels})
    column = {label: i for i, label in enumerate(times)}
    places = {track.name: numpy.array([column[label] for label in track.chain.labels]) for track in tracks}
    groups = _groups(tracks, places, len(times))
    heights = [1.3, _ROW * groups[-1].bottom, 0.12]
    figure = figure_for("the heat map", (_WIDTH, sum(heights) + legend_inches(tracks) + 1.8))
    above, below, bar = figure.subplots(3, height_ratios=heights)
    above.sharex(below)
    above.tick_params(labelbottom=False)
    limits = _limits(groups, tracks)
    draw_left(above, tracks, lambda track: _backwards(track, places[track.name]), limits)
    within = _felt(groups, limits)
    image = _draw_rows(below, groups, limits, within)
    time_axis(below, times, 0.8 * _WIDTH)
    if within.stop - within.start < len(times):
        below.set_xlabel(
            f"{below.get_xlabel()}; of {len(times):,} steps those where something arrives", fontsize=SMALL
        )
    _draw_keys(figure, bar, image, groups, limits)
    titled(figure, heading(tracks, "where it is still felt"))
    return figure


def _backwards(track: Track, places: numpy.ndarray) -> numpy.ndarray:
    """Where the residual is after 0, 1, 2, … steps back."""
    return places[: len(track.remaining)][::-1] if track.last is not None else places[:1]


def _groups(tracks: Sequence[Track], places: Mapping[str, numpy.ndarray], count: int) -> list[_Group]:
    """The states of all chains, and below them what else has a name in them."""
    groups: list[_Group] = []
    top = 0.0
    for kind in ("states", "gates"):
        for track in tracks:
            values: dict[str, numpy.ndarray] = getattr(track, kind)
            if not values:
                continue
            rows = numpy.zeros((len(values), count))
            with numpy.errstate(invalid="ignore", over="ignore"):
                rows[:, places[track.name]] = numpy.array([*values.values()]) / (track.start or 1.0)
            words = "states" if kind == "states" else "gates and other values"
            top += 1 if not groups or groups[-1].kind == kind else 1.4
            groups.append(
                _Group(
                    kind,
                    f"{track.name}: {words}" if track.name else words,
                    [short(name, _LETTERS) for name in values],
                    rows,
                    [_reach(row, places[track.name]) for row in rows[:, places[track.name]]],
                    top,
                )
            )
            top = groups[-1].bottom
    return groups


def _reach(row: numpy.ndarray, places: numpy.ndarray) -> float:
    arrives = numpy.flatnonzero(row >= REACH)
    if not arrives.size or arrives[0] == 0 or not numpy.isfinite(row[arrives[0] - 1]):
        return numpy.nan
    return float(places[arrives[0]] + places[arrives[0] - 1]) / 2


def _limits(groups: Sequence[_Group], tracks: Sequence[Track]) -> tuple[float, float]:
    """The powers of ten between which all sizes lie."""
    low, high = left_scale(tracks, above=_ABOVE)
    felt = [group.rows[numpy.isfinite(group.rows) & (group.rows > 0)] for group in groups]
    return scale(
        [10**high, *(sizes.max(initial=0.0) for sizes in felt)],
        [10**low, *(sizes.min(initial=1.0) for sizes in felt)],
        _ABOVE,
    )


def _felt(groups: Sequence[_Group], limits: tuple[float, float]) -> slice:
    """The columns to show: all, or if most are white those where something arrives, and some more."""
    rows = numpy.concatenate([group.rows for group in groups])
    columns = numpy.flatnonzero(((rows >= 10.0 ** limits[0]) | ~numpy.isfinite(rows)).any(axis=0))
    count = rows.shape[1]
    if not columns.size or columns[-1] - columns[0] > count / 3:
        return slice(0, count)
    more = 3 + (columns[-1] - columns[0]) // 10
    return slice(max(0, columns[0] - more), min(count, columns[-1] + 1 + more))


def _draw_rows(axes: Any, groups: Sequence[_Group], limits: tuple[float, float], within: slice) -> Any:
    """A stripe for each row, names on the left and titles above each group; and where 1 % is."""
    colors = shades().with_extremes(under="white", bad=NOT_FINITE, over=shades()(1.0))
    norm = library("colors").Normalize(*limits)
    for group in groups:
        rows, width = pooled(group.rows[:, within], _MOST)
        with numpy.errstate(divide="ignore", invalid="ignore"):
            shown = numpy.log10(rows)
        shown[rows == 0] = limits[0] - 1  # white, as all that is too small
        left = within.start - 0.5
        extent = (left, left + rows.shape[1] * width, group.bottom, group.top)
        image = axes.imshow(
            numpy.where(numpy.isfinite(rows), shown, numpy.nan), cmap=colors, norm=norm, aspect="auto",
            interpolation="nearest", extent=extent,
        )  # fmt: skip
        axes.text(
            0, group.top - 0.45, group.title, transform=axes.get_yaxis_transform(), fontsize=SMALL,
            fontweight="bold", color=GREY, verticalalignment="center", parse_math=False,
        )  # fmt: skip
    starts = [(x, group.top + i) for group in groups for i, x in enumerate(group.reach) if x == x]
    for color, breadth in (("white", 4), (LIMIT, 2)):
        axes.vlines(
            [x for x, _ in starts],
            [y for _, y in starts],
            [y + 1 for _, y in starts],
            color,
            linewidth=breadth,
        )
    ticks = [group.top + i + 0.5 for group in groups for i in range(len(group.names))]
    axes.set_yticks(ticks, [name for group in groups for name in group.names], parse_math=False)
    axes.set(xlim=(within.start - 0.5, within.stop - 0.5), ylim=(groups[-1].bottom, 0))
    axes.set_xlabel(
        f"time step (a column is the largest of {width})" if width > 1 else "time step", fontsize=SMALL
    )
    plain_axes(axes)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    return image


def _draw_keys(
    figure: Any, axes: Any, image: Any, groups: Sequence[_Group], limits: tuple[float, float]
) -> None:
    """What the colours mean, below."""
    sizes = numpy.concatenate([group.rows.ravel() for group in groups])
    finite = numpy.isfinite(sizes)
    below, above = (sizes[finite] < 10.0 ** limits[0]).any(), (sizes[finite] > 10.0 ** limits[1]).any()
    pick, line = library("patches").Patch, library("lines").Line2D
    ends = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    bar = figure.colorbar(
        image, cax=axes, orientation="horizontal", extend=ends[bool(below), bool(above)], extendfrac=0.02
    )
    marks, words = powers(*limits, most=7)
    bar.set_ticks(marks, labels=words)
    bar.minorticks_off()
    bar.ax.tick_params(labelsize=SMALL)
    bar.set_label("size of the residual that arrives, as a part of what came in", fontsize=SMALL)
    keys = []
    if any(x == x for group in groups for x in group.reach):
        keys.append(line([], [], color=LIMIT, linewidth=2, label="so far back 1 % arrives"))
    if below:
        least = (
            "nothing" if limits[1] - limits[0] < DECADES else f"less than {formatted(10.0 ** limits[0], 1)}"
        )
        keys.append(pick(facecolor="white", edgecolor=PALE, label=least))
    if not finite.all():
        keys.append(pick(facecolor=NOT_FINITE, label="NaN or infinite"))
    if keys:
        figure.legend(handles=keys, loc="outside lower left", ncols=len(keys), frameon=False, fontsize=SMALL)
