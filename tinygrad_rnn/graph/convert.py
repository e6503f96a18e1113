"""A finished SVG as an image of another kind.

Both packages draw what the finish asks for, text of a given length and halos among it.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DrawError

_SCALE = 2
"""Pixels of a PNG for each pixel that the picture has on a page."""


_RAISED = re.compile("<text(?=[^>]*>[^<]*[ᵀᵢⁿ⁰⁴-⁹₀-₉])")
"""Where a text with letters begins that few fonts have."""


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
    """Both packages set all of a text in the first font that they find with its rarest letter, often one with
    serifs: such a text names its own."""
    return _RAISED.sub("<text font-family=\"'DejaVu Sans', Arial, sans-serif\"", svg)


@contextmanager
def _extra(need: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DrawError(f"{need}: pip install 'tinygrad_rnn[{extra}]'; .svg needs neither") from error
