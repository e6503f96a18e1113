"""The view of time steps: one box for each, a line in it for each tensor of the state, with what the steps
after it left of its residual.

    [ t = 1 ]      [ t = 2 ]       ╌╌╌       [ t = 9 ]
    | c 0.8 | ◀──  | c 0.8 | ◀──  steps  ◀── | c 1   |      a lane for each chain of steps, in rows
    | h 2e-4|      | h 5e-4|      3 … 8      | h 1   |

A long chain shows its first and its last steps and, between them, what all the others do together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from ..reading.chain import Chain
from ..reading.followed import Trail
from ..reading.words import formatted, gain_label, plain
from .layout import tables
from .paint import BACKWARDS, NOT_FINITE, captions, cell, cluster, frame, mixed, opening, stroke
from .positions import Positions
from .scene import WIDTH, Arrow, Box, Fact, Look, Moment, Scene, exactly
from .text import Html, shown, shown_html, tooltip, width_of

_FIRST, _LAST = 3, 4
"""How many steps at either end of a long chain are shown."""

_MOMENTS = 1000
"""How many steps the time slider of a page has at most, beside those that are shown."""


@dataclass(frozen=True)
class _Paint:
    """The colours of a state: of areas, of lines and of text."""

    fill: str
    line: str
    text: str


_CHANNEL = _Paint("#E6D000", "#9C8A00", "#7A6B00")
_BENT = _Paint("#555555", "#555555", "#444444")


class Lane:
    """A chain as the picture shows it.

    Attributes:
        states: the names of its states.
        trail: what was measured, or None.
        shown: runs of steps that are shown; between two runs is a gap.
    """

    def __init__(self, chain: Chain, place: int, trail: Trail | None) -> None:
        self.chain = chain
        self.trail = trail
        self.states: list[str] = chain.states
        self._prefix = f"t{place}_" if place else "t"
        self.paints: list[_Paint] = [_CHANNEL if chain.is_channel(i) else _BENT for i in range(chain.count)]
        count = len(chain)
        first = (
            -1 if trail is not None and any(trail.size(i, -1) is not None for i in range(chain.count)) else 0
        )
        long = count > _FIRST + _LAST + 1
        self.runs: list[list[int]] = (
            [list(range(first, _FIRST)), list(range(count - _LAST, count))]
            if long
            else [list(range(first, count))]
        )

    def id(self, step: int) -> str:
        return f"{self._prefix}{step + 1}"

    def gap_id(self, step: int) -> str:
        """Of the gap after a step."""
        return f"gap{self.id(step)[1:]}"

    def label(self, step: int) -> str:
        return "start" if step < 0 else f"t = {self.chain.labels[step]}"

    def left(self, state: int, step: int) -> float | None:
        """The size at a state as a part of what comes in from the loss; None if none was measured."""
        return None if self.trail is None else self.trail.left(state, step)

    def gain(self, state: int, step: int, to: int) -> float | None:
        """The size at a state after ``to`` over that after the later ``step``; None where there is nothing to
        compare."""
        here, there = (None if self.trail is None else self.trail.size(state, at) for at in (step, to))
        return there / here if here and there is not None else None

    def totals(self) -> list[str]:
        """``c ×2e-13``: what all shown steps together leave of each state's residual."""
        first, last = self.runs[0][0], self.runs[-1][-1]
        gains = [(name, self.gain(state, last, first)) for state, name in enumerate(self.states)]
        return [f"{name} {gain_label(gain)}" for name, gain in gains if gain is not None]


class StepsView:
    """Writes the DOT text of chains, a lane of boxes for each, in rows that are no wider than ``width`` CSS
    pixels."""

    def __init__(
        self, lanes: Sequence[Lane], title: str, note: str, caption: str, width: float = WIDTH
    ) -> None:
        self.lanes = lanes
        self.title = title
        self.note = note
        self.caption = caption
        self._width = width
        self.measured: bool = any(lane.trail is not None for lane in lanes)

    def dot(self, titled: bool = True) -> str:
        """The DOT text, with or without title and notes."""
        notes = self._notes()
        subtitles = [" · ".join(part) for part in (notes[:3], notes[3:]) if part]
        lines = opening(captions(self.title, self.note, subtitles) if titled else None, "0.1", "0.5")
        return "\n".join([*lines, *self._body, "}", ""])

    @cached_property
    def _body(self) -> list[str]:
        scene = self._plain
        assert scene.placed is not None
        positions = Positions(scene.placed)
        lines = [positions.size()]
        for i, (around, name) in enumerate(scene.placed.lanes, start=1):
            lines += cluster(f"k{i}", {**frame(shown(name)), **positions.frame(around)}, [])
        lines += [positions.box(box) for box in scene.boxes]
        return [*lines, *(line for arrow in scene.arrows for line in positions.arrow(arrow))]

    def _notes(self) -> list[str]:
        paints = {paint for lane in self.lanes for paint in lane.paints}
        meaning = {
            _CHANNEL: "yellow = state with only × and + on its way back",
            _BENT: "grey = state with a slope or a matrix on its way back",
        }
        notes = [
            *BACKWARDS,
            *(text for paint, text in meaning.items() if paint in paints),
        ]
        if self.measured:
            notes += [
                *filter(None, [self.caption]),
                "number in a box = residual left (size ÷ size of what comes in)",
                "number on an arrow = its gain in one step, no label = ×1",
            ]
            if any(len(lane.paints) > 1 for lane in self.lanes):
                notes.append("states of a step feed each other, so a gain is not a state's own factor")
        return notes

    # -- boxes -----------------------------------------------------------------------------------------------

    def _boxes(self, lane: Lane) -> list[Box]:
        boxes = [self._step(lane, step) for step in lane.runs[0]]
        for before, after in zip(lane.runs, lane.runs[1:], strict=False):
            boxes += [self._gap(lane, before[-1], after[0]), *(self._step(lane, step) for step in after)]
        return boxes

    def _step(self, lane: Lane, step: int) -> Box:
        lefts = [lane.left(state, step) for state in range(len(lane.states))]
        fills = [_tint(paint, left) for paint, left in zip(lane.paints, lefts, strict=True)]
        facts: list[Fact] = [
            (f"residual left at {name}", exactly(left))
            for name, left in zip(lane.states, lefts, strict=True)
            if left is not None
        ]
        title, lines = self._text(lane, step)
        room = max(_room(*self._text(lane, step)) for run in lane.runs for step in run)
        return Box(
            lane.id(step), title, _table(title, lines, fills, room),
            [*self._chain(lane), ("step", title), *facts], lines=lines, fills=fills,
        )  # fmt: skip

    def _text(self, lane: Lane, step: int) -> tuple[str, list[str]]:
        """What stands in a box: its title, and a line for each state."""
        lefts = [lane.left(state, step) for state in range(len(lane.states))]
        return lane.label(step), [
            f"{name}  {formatted(left, 2)}" if left is not None else name
            for name, left in zip(lane.states, lefts, strict=True)
        ]

    def _gap(self, lane: Lane, before: int, after: int) -> Box:
        title = f"… {after - before - 1} steps …"
        gains = [lane.gain(state, after, before) for state in range(len(lane.states))]
        lines = [
            f"{name}  {gain_label(gain)} in all" if gain is not None else name
            for name, gain in zip(lane.states, gains, strict=True)
        ]
        facts: list[Fact] = [
            (f"{name} in all", gain_label(gain))
            for name, gain in zip(lane.states, gains, strict=True)
            if gain is not None
        ]
        stride = _stride(lane)
        facts += [("on the slider", f"one step in {stride}")] if stride > 1 else []
        fills = [None] * len(lines)
        return Box(
            lane.gap_id(before), title, _table(title, lines, fills, _room(title, lines)),
            [*self._chain(lane), *facts], lines=lines, fills=fills,
        )  # fmt: skip

    def _chain(self, lane: Lane) -> list[Fact]:
        return [("chain", lane.chain.name)] if len(self.lanes) > 1 else []

    # -- arrows ----------------------------------------------------------------------------------------------

    def _arrows(self, lane: Lane) -> list[tuple[int, Arrow]]:
        """The number of the state and the arrow, from left to right."""
        arrows = []
        for run, following in zip(lane.runs, [*lane.runs[1:], None], strict=True):
            ends = [(lane.id(step), lane.id(step + 1), step, step + 1, False) for step in run[:-1]]
            if following:
                gap, before, after = lane.gap_id(run[-1]), run[-1], following[0]
                ends += [
                    (lane.id(before), gap, before, before, True),
                    (gap, lane.id(after), after, after, True),
                ]
            arrows += [
                (state, self._arrow(lane, state, *end)) for end in ends for state in range(len(lane.states))
            ]
        return arrows

    def _arrow(
        self, lane: Lane, state: int, source: str, target: str, to: int, step: int, gap: bool
    ) -> Arrow:
        """From the state after ``to`` to that after ``step``; beside a gap both are the one that is shown."""
        paint, left, gain = lane.paints[state], lane.left(state, to), lane.gain(state, step, to)
        line = stroke(1.0 if left is None else left)
        style = "dotted" if gap else line.style if self.measured else "solid"
        finite = left is None or math.isfinite(left)
        look: Look = {
            "dir": "back", "color": mixed(paint.line if finite else NOT_FINITE.line, line.strength),
            "penwidth": f"{line.width if self.measured else 1.8:.1f}", "style": style,
        }  # fmt: skip
        if gain is not None and not gap:
            tip = f"{lane.states[state]}: gain ×{gain:.6g}, residual left {left:.6g}"
            label = gain_label(gain)
            look |= {
                "label": None if label == "×1" else label,
                "fontcolor": paint.text,
                "tooltip": tooltip(tip),
            }
        later = (lane.left(i, step) for i in range(len(lane.states)))
        taken = not self.measured or (bool(left) and any(later))  # else what is here came in from the loss
        if not taken:
            look |= {"color": "#BDBDBD", "style": "dotted", "dir": "none"}
        name = f"e{source}-{target}-{state}"
        return Arrow(name, source, target, look, taken, left, gain=None if gap else gain)

    def summary(self) -> str:
        """For the summary: how many steps, and what all of them together leave of each state's residual."""
        counts = [len(lane.chain) for lane in self.lanes]
        chains = f" in {len(counts)} chains" if len(counts) > 1 else ""
        left = [
            ": ".join(filter(None, [lane.chain.name, ", ".join(lane.totals())]))
            for lane in self.lanes
            if lane.totals()
        ]
        return "; ".join([f", {sum(counts)} steps{chains}", *left])

    # -- for a page ------------------------------------------------------------------------------------------

    def scene(self) -> Scene:
        """The same picture as boxes and arrows with all that is known of them."""
        return replace(self._plain, dot=self.dot(titled=False))

    @cached_property
    def _plain(self) -> Scene:
        """Without DOT text."""
        several = len(self.lanes) > 1
        lanes = [
            tables.Lane(lane.chain.name if several else "", self._boxes(lane), self._arrows(lane))
            for lane in self.lanes
        ]
        return Scene(
            title=self.title,
            dot="",
            boxes=[box for lane in lanes for box in lane.boxes],
            arrows=[arrow for lane in lanes for _, arrow in lane.arrows],
            groups=[],
            moments=self._moments(),
            band="",
            legend=[],
            notes=[*([self.note] if self.note else []), *self._notes()],
            measured=self.measured,
            placed=tables.placed_tables(lanes, self._width),
        )

    def _moments(self) -> list[Moment]:
        """Every step, or so many of them that the file stays small; one that is not shown is in the gap."""
        at: dict[str, list[str]] = {}
        texts: dict[str, list[str]] = {}
        for lane in self.lanes:
            visible = {step for run in lane.runs for step in run}
            for step in sorted(visible | set(range(0, len(lane.chain), _stride(lane)))):
                at.setdefault(lane.label(step), []).append(
                    lane.id(step) if step in visible else lane.gap_id(lane.runs[0][-1])
                )
                texts.setdefault(lane.label(step), []).append(self._residual_left(lane, step))
        return [Moment(label, "; ".join(filter(None, texts[label])), at[label]) for label in at]

    def _residual_left(self, lane: Lane, step: int) -> str:
        lefts = [(name, lane.left(state, step)) for state, name in enumerate(lane.states)]
        left = ", ".join(f"{name} {formatted(left, 2)}" for name, left in lefts if left is not None)
        return f"{lane.chain.name + ': ' if len(self.lanes) > 1 else ''}residual left {left}" if left else ""


def _stride(lane: Lane) -> int:
    """From one step on the slider to the next."""
    return 1 + len(lane.chain) // _MOMENTS


def _room(title: str, lines: Sequence[str]) -> float:
    """How wide a box is inside."""
    texts = [width_of(plain(title), bold=True), *(width_of(f" {plain(line, 40)} ") for line in lines)]
    return math.ceil(max(texts)) + 8


def _table(title: str, lines: Sequence[str], fills: Sequence[str | None], room: float) -> Look:
    """A box with a line for each state; a gap has no frame."""
    backgrounds = [f' BGCOLOR="{fill}"' if fill else "" for fill in fills]
    cells = [
        cell(room, f" {shown_html(line, 40)} ", style) for line, style in zip(lines, backgrounds, strict=True)
    ]
    border = 'BORDER="1" COLOR="#8A8A8A"' if any(fills) else 'BORDER="0"'
    rows = [f'<TD WIDTH="{room:.0f}"><B>{shown_html(title)}</B></TD>', *cells]
    return {
        "shape": "plain",
        "style": "",
        "label": Html(
            f'<TABLE {border} CELLBORDER="0" CELLSPACING="0" CELLPADDING="4">'
            + "".join(f"<TR>{row}</TR>" for row in rows)
            + "</TABLE>"
        ),
    }


def _tint(paint: _Paint, left: float | None) -> str:
    """Paler with every decade that the residual has lost."""
    if left is None:
        return mixed(paint.fill, 0.15)
    if not math.isfinite(left):
        return NOT_FINITE.fill
    return (
        mixed(paint.fill, 0.1 + 0.45 * max(0.0, 1 + (0.0 if left >= 1 else math.floor(math.log10(left)) / 5)))
        if left
        else "#FFFFFF"
    )
