"""A memory as a page: a text or a series, and a small program that shades it.

Sizes are bytes on a logarithmic scale, from the first that is seen on; values of units are bytes too.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from .. import pages
from ..reading.words import plain, printable
from .input_gradients import FEATURES
from .track import REACH

if TYPE_CHECKING:
    from .remembering import Memory

LARGEST = 3_900_000
"""Characters of a page; values of units that would not fit are left out, and the page says so."""

DECADES = 3
"""Sizes of less than a thousandth of the largest are not shown."""

_CURVE = 300
"""So many steps back the curve of what is left goes."""


def page(memory: Memory) -> str:
    """The whole file."""
    content = _content(memory)
    used = len(json.dumps(content))
    content["units"], content["left_out"] = _units(memory.values, LARGEST - used)
    here = Path(__file__).parent
    return pages.page(
        plain(memory.title, 80),
        pages.source(here, "memory.html"),
        pages.style_of(here, "memory.css"),
        pages.program_of(here, "memory.js"),
        content,
    )


def _content(memory: Memory) -> dict[str, Any]:
    levels = _levels(memory.relative)
    starts = _starts(levels)
    content: dict[str, Any] = {
        "title": plain(memory.title, 200),
        "summary": str(memory),
        "decades": DECADES,
        "reach": REACH,
        "sizes": _sizes(levels, starts),
        "starts": starts,
        "horizon": memory.horizon.tolist(),
        "remaining": [pages.rounded(part, 4) for part in memory.remaining[:_CURVE]],
    }
    if memory.tokens is None:
        return {**content, **_series(memory, starts)}
    named: dict[str, int] = {}
    guesses = [
        [[named.setdefault(token, len(named)), pages.rounded(part, 4)] for token, part in few]
        for few in memory.guesses
    ]
    return {
        **content,
        "tokens": [visible(token) for token in memory.tokens],
        "said": [spoken(token) for token in memory.tokens],
        "guesses": guesses,
        "names": [spoken(token) for token in named],
    }


def _levels(relative: numpy.ndarray) -> numpy.ndarray:
    """Sizes as bytes: 255 is the largest, 1 is three decades below it, 0 is less."""
    with numpy.errstate(divide="ignore", invalid="ignore"):
        levels = 255 + numpy.log10(relative) * (254 / DECADES)
    return numpy.where(levels >= 1, numpy.round(levels), 0).astype(numpy.uint8)


def _starts(levels: numpy.ndarray) -> list[int]:
    """For each row the first size that is shown."""
    shown = levels > 0
    starts: list[int] = numpy.where(
        shown.any(axis=1), shown.argmax(axis=1), numpy.arange(len(shown))
    ).tolist()
    return starts


def _sizes(levels: numpy.ndarray, starts: list[int]) -> str:
    """Each row from its start up to its own step, one after the other."""
    return _bytes(b"".join(levels[step, start : step + 1].tobytes() for step, start in enumerate(starts)))


def _units(values: dict[str, numpy.ndarray], room: int) -> tuple[list[dict[str, Any]], list[str]]:
    """What letters may be coloured by, each unit as parts of its own largest value: as bytes from 1, the most
    negative, by way of 128 to 255; 0 is not finite. And the names of what has no room."""
    units: list[dict[str, Any]] = []
    left_out: list[str] = []
    for name, array in values.items():
        finite = numpy.isfinite(array)
        scales = numpy.abs(numpy.where(finite, array, 0)).max(axis=0)
        parts = numpy.where(finite, array / numpy.where(scales, scales, 1), 0)
        levels = numpy.where(finite, numpy.round(128 + 127 * parts), 0).astype(numpy.uint8)
        one: dict[str, Any] = {
            "name": plain(name, 60),
            "signed": bool((levels < 128).any()),
            "scales": [pages.rounded(scale, 4) for scale in scales],
            "values": _bytes(levels.tobytes()),
        }
        room -= len(json.dumps(one))
        if room < 0:
            left_out.append(one["name"])
        else:
            units.append(one)
    return units, left_out


def _series(memory: Memory, starts: list[int]) -> dict[str, Any]:
    """The inputs, feature by feature, and the outputs; and the sizes of each feature, if there is room."""
    length = len(memory.inputs)
    strips: list[dict[str, Any]] = []
    hidden = 0
    for name, array in (("input", memory.inputs), ("output", memory.outputs)):
        columns = array.reshape(length, -1).T
        hidden += max(0, len(columns) - FEATURES)
        strips += [
            {
                "name": f"{name} {i}" if len(columns) > 1 else name,
                "values": [pages.rounded(x, 4) for x in column],
                "input": name == "input",
            }
            for i, column in enumerate(columns[:FEATURES])
        ]
    series = {"series": strips, "hidden": hidden}
    shown = sum(range(length + 1)) - sum(starts)
    if memory.by_feature is not None and shown * memory.by_feature.shape[2] < LARGEST // 2:
        largest = memory.array.max(axis=1, keepdims=True)
        for i, strip in enumerate(strips[: memory.by_feature.shape[2]]):
            with numpy.errstate(divide="ignore", invalid="ignore"):
                strip["sizes"] = _sizes(_levels(memory.by_feature[..., i] / largest), starts)
    return series


def visible(token: str) -> str:
    """A token as it can be seen and pointed at: line ends and marks that stand on the letter before get a
    sign of their own, and what cannot be printed a replacement."""
    if token == "\n":
        return "↵\n"
    if token == "\t":
        return "⇥"
    if token and unicodedata.category(token[0]).startswith("M"):
        return f"◌{printable(token)}"
    return "".join(c if c in "\n\u00a0\u3000" else printable(c) for c in token) or "∅"


def spoken(token: str) -> str:
    """A token as a sentence names it."""
    if token.strip(" \n\t"):
        return plain(token, 40) if len(token) > 1 else _letter(token)
    return {" ": "space", "\n": "new line", "\t": "tab", "": "nothing"}.get(token, f"{len(token)} spaces")


def _letter(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] in "MZC":
        return unicodedata.name(character, f"U+{ord(character):04X}").lower()
    return character


def _bytes(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
