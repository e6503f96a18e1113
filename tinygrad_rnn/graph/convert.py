"""A finished SVG as an image of another kind.

Both packages draw what the finish asks for, text of a given length and halos among it.
"""

from __future__ import annotations

import importlib
import unicodedata
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DrawError

_SCALE = 2
"""Pixels of a PNG for each pixel that the picture has on a page."""

_CHINESE = '"Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei", sans-serif'
_RARE = '"DejaVu Sans", "Segoe UI Symbol", "Arial Unicode MS", sans-serif'


def png(svg: str) -> bytes:
    """Raises:
    DrawError: resvg_py is not installed.
    """
    with _extra("PNG needs the package resvg_py", "render"):
        package = importlib.import_module("resvg_py")
    return package.svg_to_bytes(svg_string=_with_fonts(svg), zoom=_SCALE)


def pdf(svg: str) -> bytes:
    """Raises:
    DrawError: svg2pdf_py is not installed.
    """
    with _extra("PDF needs Graphviz's dot or the package svg2pdf_py", "pdf"):
        package = importlib.import_module("svg2pdf_py")
    return package.svg_to_pdf(_with_fonts(svg), package.FontDatabase.system())


def _with_fonts(svg: str) -> str:
    """For a text with letters that Arial may lack, a font that has them: where the first font of a list lacks
    one, both packages set the whole text in any font that has it, and that may be one with serifs."""
    root = ElementTree.fromstring(svg)
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        letters = "".join(text.itertext())
        if any(unicodedata.east_asian_width(letter) in "WF" for letter in letters):
            text.set("font-family", _CHINESE)
        elif any(unicodedata.category(letter) in ("Lm", "No") for letter in letters):  # ᵀ, ⁴
            text.set("font-family", _RARE)
    return ElementTree.tostring(root, encoding="unicode")


@contextmanager
def _extra(need: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DrawError(f"{need}: pip install 'tinygrad_rnn[{extra}]'; .svg needs neither") from error
