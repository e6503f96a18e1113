"""What is laid out: things and lines between them, by their numbers; nothing is known of what they show."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

End = Literal["", "in", "out", "first", "last"]
"""Where a thing has to stand: where lines come in from the left or leave to the right, or in the first or the
last column."""


@dataclass(frozen=True)
class Thing:
    """What takes a place: a box, a sign, or a place on a border that a line passes.

    Attributes:
        straight: it stands on the line of the state.
        state: its column does not depend on what needs it.
    """

    width: float
    height: float
    shape: str = ""
    straight: bool = False
    state: bool = False
    end: End = ""

    def merged(self, other: Thing) -> Thing:
        """With room for either."""
        width, height = max(self.width, other.width), max(self.height, other.height)
        return replace(self, width=width, height=height, straight=self.straight or other.straight)


@dataclass(frozen=True)
class Line:
    """An arrow between two things; ``label`` is how wide its text is, ``back`` whether it has a head."""

    source: int
    target: int
    label: float = 0.0
    back: bool = True

    def merged(self, other: Line) -> Line:
        """With room for the label and the head of either."""
        return replace(self, label=max(self.label, other.label), back=self.back or other.back)
