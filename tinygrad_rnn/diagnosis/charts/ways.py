"""What one step does to a residual: a ribbon for each way back to the step before, as wide as the residual on
it is large. Time runs to the right, and so the residual to the left."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from ...colours import CASES, INK, NOT_FINITE
from ...reading.words import formatted, gain_label, percent, short
from ...tape import Key, Node, key_of
from ..paths import Path, StepPaths, source_name
from ..track import Track
from .figure import GREY, SMALL, figure_for, library, titled

_MEANINGS = {
    "composition": "composition: a slope",
    "weighting": "weighting: a matrix or a gate",
    "addition": "addition",
}
_RIBBON = "#AEB6BF"

_MOST, _ASIDE = 8, 6
"""Ways that are drawn, and what goes aside of them."""

_PITCH, _THICK = 0.74, 0.3
"""Inches from one way to the next, and of the widest ribbon."""

_BESIDE, _BEND = 1.35, 0.9
"""Inches for the names of states on either side, and from a state to the ways."""

_LEAST, _ROOM = 4.5, 0.68
"""Inches of a way at least, and of each operation on it."""

_LETTERS = 9
"""Of the name of an operation."""


@dataclass(frozen=True)
class _Lane:
    """A way, at a height."""

    path: Path
    y: float

    @property
    def stations(self) -> list[tuple[str, str, float]]:
        """What changes the residual on it: name, case and gain."""
        return [
            (short(hop.name, _LETTERS), hop.case, hop.gain)
            for hop in self.path.hops
            if hop.case != "addition" or abs(hop.gain - 1) > 1e-3
        ]


def ways(track: Track, step: int) -> Any:
    """The ways from a step to the one before, those at the top that carry most to the same state."""
    paths = track.paths(step)
    drawn = [path for path in paths.paths[:_MOST] if path.carried != 0]
    firsts = {end: i for i, end in reversed([*enumerate(path.end for path in drawn)])}
    drawn.sort(key=lambda path: firsts[path.end])
    lanes = [_Lane(path, 1.15 + _PITCH * i) for i, path in enumerate(drawn)]
    aside = _aside(track, step)
    bottom = 1.15 + _PITCH * max(1, len(lanes))
    height = bottom + (0.95 if aside else 0.0) + 0.35
    long = max([_LEAST, *(_ROOM * (len(lane.stations) + 1) for lane in lanes)])
    across = _BESIDE + _BEND, _BESIDE + _BEND + long
    width = across[1] + _BEND + _BESIDE
    figure = figure_for("the ways", (width, height))
    figure.set_layout_engine("none")  # everything has its place
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    largest = (
        max([size for lane in lanes for size in _sizes(lane) if math.isfinite(size)], default=1.0) or 1.0
    )
    labels = track.chain.labels
    before = labels[step - 1] if step else "start"
    _draw_ends(axes, lanes, largest, (str(labels[step]), str(before)), across)
    for lane in lanes:
        _draw_lane(axes, lane, largest, across)
    _say(axes, 0.3, bottom - 0.12, _rest(paths, drawn), color=GREY)
    if aside:
        _draw_aside(axes, aside, bottom + 0.2, largest)
    _draw_key(axes, lanes, height - 0.2)
    name = f"{track.name}: what" if track.name else "What"
    titled(figure, f"{name} becomes of the residual from step {labels[step]} back to {before}")
    _say(
        axes,
        0.1,
        0.5,
        "Read from right to left. A ribbon is as wide as the residual: it narrows where some is lost.",
        color=GREY,
    )
    return figure


def _sizes(lane: _Lane) -> list[float]:
    """Of the residual at first, and after each of its stations."""
    sizes = [lane.path.received]
    for _, _, gain in lane.stations:
        sizes.append(sizes[-1] * gain)
    return sizes


def _rest(paths: StepPaths, drawn: Sequence[Path]) -> str:
    """What is not drawn, in words."""
    if not drawn:
        return "Nothing gets through to the step before."
    others = paths.count - len(drawn)
    if not others:
        return ""
    carried = percent(1 - sum(path.share for path in drawn))
    more = f"{others} more way{'s' * (others > 1)}"
    return f"{more} not followed" if paths.rest else f"{more} carr{'y' if others > 1 else 'ies'} {carried}"


# -- ribbons -------------------------------------------------------------------------------------------------


def _ribbon(
    axes: Any,
    xs: tuple[float, float],
    ys: tuple[float, float],
    widths: tuple[float, float],
    color: str,
    alpha: float = 1.0,
) -> None:
    """From one place to another, bent like an S, with another width at its end."""
    t = numpy.linspace(0, 1, 24)
    bend = t * t * (3 - 2 * t)
    middle = ys[0] + (ys[1] - ys[0]) * bend
    half = (widths[0] + (widths[1] - widths[0]) * bend) / 2
    x = xs[0] + (xs[1] - xs[0]) * t
    axes.fill_between(x, middle - half, middle + half, color=color, alpha=alpha, linewidth=0.4)


def _thick(size: float, largest: float) -> float:
    return _THICK * size / largest if math.isfinite(size) else 0.0


def _draw_lane(axes: Any, lane: _Lane, largest: float, across: tuple[float, float]) -> None:
    """From right to left: even between the operations, and narrower or wider at each."""
    sizes, stations, (left, right) = _sizes(lane), lane.stations, across
    room = (right - left) / (len(stations) + 1)
    half = min(0.3, 0.3 * room)
    x = right
    for i, (name, case, gain) in enumerate(stations):
        at = right - room * (i + 1)
        widths = _thick(sizes[i], largest), _thick(sizes[i + 1], largest)
        color = CASES[case] if math.isfinite(gain) else NOT_FINITE
        _ribbon(axes, (x, at + half), (lane.y, lane.y), (widths[0], widths[0]), _RIBBON)
        _ribbon(axes, (at + half, at - half), (lane.y, lane.y), widths, color)
        above, below = lane.y - max(widths) / 2 - 0.04, lane.y + max(widths) / 2 + 0.04
        _say(axes, at, above, name, color=color, ha="center", va="bottom")
        _say(axes, at, below, gain_label(gain), color=color, ha="center", va="top")
        x = at - half
    last = _thick(sizes[-1], largest)
    share = percent(lane.path.share) if math.isfinite(lane.path.share) else "NaN"
    _ribbon(axes, (x, left), (lane.y, lane.y), (last, last), _RIBBON)
    _say(
        axes, left, lane.y - last / 2 - 0.04, share, ha="center", va="bottom",
        fontweight="bold",
    )  # fmt: skip


def _draw_ends(
    axes: Any,
    lanes: Sequence[_Lane],
    largest: float,
    labels: tuple[str, str],
    across: tuple[float, float],
) -> None:
    """The states after the step on the right, each with all that comes in; those before it on the left, with
    what the ways carry there side by side."""
    for side, label in enumerate(labels):
        names = dict.fromkeys(lane.path.end if side else lane.path.start for lane in lanes)
        end = across[1 - side]
        x = end - _BEND if side else end + _BEND
        for name in names:
            own = [lane for lane in lanes if name == (lane.path.end if side else lane.path.start)]
            middle = sum(lane.y for lane in own) / len(own)
            widths = [_thick(_sizes(lane)[-1 if side else 0], largest) for lane in own]
            total = sum(widths) if side else max(widths)
            top = middle - total / 2
            for lane, width in zip(own, widths, strict=True):
                y = top + width / 2 if side else middle
                _ribbon(axes, (x, end), (y, lane.y), (width, width), _RIBBON, 1.0 if side else 0.35)
                top += width if side else 0.0
            axes.fill_between(
                [x - 0.04, x + 0.04],
                middle - max(total, 0.02) / 2,
                middle + max(total, 0.02) / 2,
                color=INK,
            )
            text = f"{short(name, _LETTERS - 1)}[{label}]"
            _say(
                axes,
                x + (-0.12 if side else 0.12),
                middle,
                text,
                ha="right" if side else "left",
                va="center",
                fontweight="bold",
            )


def _draw_key(axes: Any, lanes: Sequence[_Lane], y: float) -> None:
    met = {case for lane in lanes for _, case, _ in lane.stations}
    patch = library("patches").Rectangle
    x = 0.3
    for case, words in _MEANINGS.items():
        if case in met:
            axes.add_patch(patch((x, y - 0.06), 0.22, 0.12, color=CASES[case]))
            _say(axes, x + 0.3, y, words, va="center")
            x += 0.6 + 0.075 * len(words)


# -- what leaves the states ----------------------------------------------------------------------------------


def _aside(track: Track, step: int) -> dict[str, float]:
    """The norms of what goes to parameters and inputs in a step, by their names, the largest first."""
    chain = track.chain
    inside = {entry.index for entry in chain.entries[step]}
    parts: dict[Key, tuple[str, float]] = {}
    for entry in chain.entries[step]:
        for i, x in enumerate(entry.inputs):
            part = track.run.part(entry, i)
            leaves = isinstance(x, Node) and (x.entry is None or x.entry.index not in inside)
            if leaves and part and (entry.index, i) not in chain.crossings:
                name = short(source_name(chain, x) or "input", _LETTERS + 3)
                parts[key_of(x)] = name, math.hypot(parts.get(key_of(x), (name, 0.0))[1], part)
    sizes: dict[str, float] = {}
    for name, size in parts.values():
        sizes[name] = math.hypot(sizes.get(name, 0.0), size)
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def _draw_aside(axes: Any, aside: dict[str, float], y: float, largest: float) -> None:
    others = f"; {len(aside) - _ASIDE} more get less" if len(aside) > _ASIDE else ""
    widest = _thick(max(aside.values()), largest)
    narrower = math.ceil(widest / _THICK) if widest > _THICK else 1
    scale = f" (drawn {narrower:,} times narrower)" if narrower > 1 else ""
    words = f"Also sent to parameters and inputs, which takes nothing from the ways{scale}{others}"
    _say(axes, 0.3, y, words, color=GREY)
    for i, (name, size) in enumerate(itertools.islice(aside.items(), _ASIDE)):
        x, thick = 0.3 + 1.45 * i, _thick(size, largest) / narrower
        axes.fill_between([x, x + 0.22], y + 0.45 - thick / 2, y + 0.45 + thick / 2, color=_RIBBON)
        _say(axes, x + 0.3, y + 0.45, f"{name}\n{formatted(size, 2)}", va="center")


def _say(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    axes.text(x, y, text, **{"fontsize": SMALL, "parse_math": False, **style})
