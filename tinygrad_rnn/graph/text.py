"""Users' text inside DOT text: whatever a tensor is called, the picture shows it and nothing else happens.

Graphviz reads a label twice: as DOT (quotes, backslashes) and then for escapes such as ``\\N`` and entities
such as ``&lt;``; a tooltip's backslashes even once more. So text becomes, in this order: printable, short,
free of markup, free of escapes.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Mapping

from ..reading.words import plain, printable
from .advances import BOLD, REGULAR


class Html(str):
    """A label written in Graphviz's HTML-like language; every other attribute is plain, quoted text."""

    __slots__ = ()


def shown(text: str, limit: int = 28) -> str:
    """The text as a label in DOT."""
    return _escaped(plain(text, limit), backslash="\\\\")


def shown_html(text: str, limit: int = 28) -> str:
    """The text inside an HTML-like label, where it may not be empty."""
    return shown(text, limit) or "&#160;"


def tooltip(text: str) -> str:
    """The text as a tooltip shows it, at full length."""
    return _escaped(printable(text), backslash="\\\\\\\\")


def untold(tip: str) -> str:
    """The text that ``tooltip`` was given, where it is shown by something else than Graphviz."""
    return html.unescape(tip.replace("\\\\\\\\", "\\"))


def _escaped(text: str, backslash: str) -> str:
    for character, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        text = text.replace(character, entity)
    return text.replace("\\", backslash)


def width_of(text: str, points: float = 12, bold: bool = False) -> float:
    """How wide a text in Arial is, in points, whatever fonts there are.

    East Asian characters are as wide as they are high; of others that Arial lacks the width is a guess.
    """
    widths = BOLD if bold else REGULAR
    return sum(widths.get(c) or _other(c, widths) for c in text) * points / 1000


def _other(character: str, widths: Mapping[str, int]) -> int:
    if unicodedata.east_asian_width(character) in "WF":
        return 1000
    if unicodedata.combining(character):
        return 0
    return widths.get(unicodedata.normalize("NFKD", character)[0], 600)


def attributes(values: dict[str, str | None]) -> str:
    """``[name="value", …]`` in the order given, without those that are None."""
    parts = [
        f"{name}=<{value}>" if isinstance(value, Html) else f'{name}="{value}"'
        for name, value in values.items()
        if value is not None
    ]
    return f"[{', '.join(parts)}]"
