"""What all figures share: an empty one that notebooks show, axes whose labels do not overlap, colours."""

from __future__ import annotations

import functools
import importlib
import io
import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy

from ...colours import RED
from ...errors import DrawError, FlowError
from ...reading.words import formatted
from ..track import REACH, Track

DECADES = 12
"""A scale of colours spans at most so many powers of ten: on a longer one, what differs looks alike."""

_LEAST = math.log10(REACH / 3)
"""A scale reaches down to there at least."""

LIMIT = RED
GREY, PALE = "#5F5F5F", "#8A8A8A"
DASHES = ["-", "--", "-.", ":"]
"""Lines differ by more than colour, for those who print in grey."""

_FALLBACKS = [
    *(f"Noto Sans CJK {place}" for place in ("SC", "JP", "TC", "KR")),
    "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "Droid Sans Fallback", "PingFang SC",
    "Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Noto Sans Arabic", "Noto Sans Hebrew",
    "Noto Sans Devanagari", "Noto Sans Thai", "Noto Emoji", "Arial Unicode MS",
]  # fmt: skip
"""Fonts for letters that matplotlib's own has none of."""

SMALL = 9
"""Points of all text but titles."""


def figure_for(what: str, size: tuple[float, float]) -> Any:
    """An empty figure, which a notebook shows, also where pyplot was not imported.

    Args:
        what: what needs it, for the error.
        size: in inches.

    Raises:
        DrawError: matplotlib is not installed.
    """
    try:
        figure = library("figure").Figure(figsize=size, layout="constrained")
    except ImportError as error:
        raise DrawError(f"{what} needs the package matplotlib: pip install 'tinygrad_rnn[plot]'") from error
    figure._repr_png_ = functools.partial(rendered, figure, "png")
    figure.draw = functools.partial(_draw, figure)
    return figure


def _draw(figure: Any, renderer: Any) -> None:
    """Draw a figure whose names may be in any script, in the fonts that are there; where none has a letter
    there is a box."""
    there = {font.name for font in library("font_manager").fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in _FALLBACKS if name in there)]
    for text in figure.findobj(library("text").Text):
        text.set_fontfamily(families)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        type(figure).draw(figure, renderer)


def library(part: str) -> Any:
    """A module of matplotlib."""
    return importlib.import_module(f"matplotlib.{part}")


def shades() -> Any:
    """Colours from 0 to 1: dark is strong, and white paper stands for nothing, which reads right in print
    too."""
    return library("cm").ScalarMappable(cmap="cividis_r").cmap


ENDINGS = ("png", "svg", "pdf")
"""Of the files that a figure is written to."""


def rendered(figure: Any, kind: str) -> bytes:
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=150)
    return content.getvalue()


def refuse_nothing(tracks: Sequence[Track]) -> None:
    if not tracks:
        raise FlowError(
            "flow: there is nothing to plot: no time steps here hand a state on (run the cell by tg.scan "
            "or as a layer)"
        )


def plain_axes(axes: Any) -> None:
    """Small numbers, and no frame but the axes."""
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)


def scale(tops: Sequence[float], bottoms: Sequence[float], above: float) -> tuple[float, float]:
    """The powers of ten between which sizes lie, and 1 and 1 %, which nothing pushes off the scale: at most
    :data:`DECADES` apart where none is large.

    Args:
        above: no power is higher.
    """
    high = min(max([0.0, *(math.log10(top) for top in tops if 0 < top < math.inf)]), above)
    low = min([_LEAST, *(math.log10(bottom) for bottom in bottoms if 0 < bottom < math.inf)])
    return max(low, min(_LEAST, high - DECADES)), high


def powers(low: float, high: float, most: int = 5) -> tuple[list[float], list[str]]:
    """Where on an axis of powers of ten there are marks, and what they say."""
    stride = max(1, math.ceil((high - low) / (most - 1)))
    marks = [float(k) for k in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1) if k % stride == 0]
    return marks, [formatted(10**mark, 1) for mark in marks]


def time_axis(axes: Any, times: Sequence[Any], inches: float) -> None:
    """Say what the program calls each step, of as many as there is room for."""
    characters = max(len(str(label)) for label in (times[0], times[len(times) // 2], times[-1]))
    room = max(2, int(inches * 72 / (SMALL * (0.7 * characters + 1.2))))
    axes.xaxis.set_major_locator(library("ticker").MaxNLocator(min(room, 12), integer=True))
    axes.xaxis.set_major_formatter(
        lambda x, _place: str(times[round(x)]) if 0 <= round(x) < len(times) else ""
    )


def pooled(rows: numpy.ndarray, most: int) -> tuple[numpy.ndarray, int]:
    """At most so many columns: each the largest of as many, so that nothing large is skipped; and how many.

    A NaN among them is the largest.
    """
    width = -(-rows.shape[1] // most)
    starts = numpy.arange(0, rows.shape[1], width)
    return (numpy.maximum.reduceat(rows, starts, axis=1) if width > 1 else rows), width


def titled(figure: Any, text: str) -> None:
    """The title of a whole figure, flush left."""
    figure.suptitle(text, x=0.01, horizontalalignment="left", fontsize=11, parse_math=False)
