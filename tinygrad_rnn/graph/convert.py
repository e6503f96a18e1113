"""A finished SVG as an image of another kind.

Both packages draw what the finish asks for, text of a given length and halos among it. CairoSVG and svglib
were tried: they leave out the one and paint the other over the letters.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import DrawError

_SCALE = 2
"""Pixels of a PNG for each pixel that the picture has on a page."""


def png(svg: str) -> bytes:
    """Raises:
    DrawError: resvg_py is not installed.
    """
    with _extra("PNG needs the package resvg_py", "render"):
        package = importlib.import_module("resvg_py")
    return package.svg_to_bytes(svg_string=svg, zoom=_SCALE)


def pdf(svg: str) -> bytes:
    """Raises:
    DrawError: svg2pdf_py is not installed.
    """
    with _extra("PDF needs Graphviz's dot or the package svg2pdf_py", "pdf"):
        package = importlib.import_module("svg2pdf_py")
    return package.svg_to_pdf(svg, package.FontDatabase.system())


@contextmanager
def _extra(need: str, extra: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise DrawError(f"{need}: pip install 'tinygrad_rnn[{extra}]'; .svg needs neither") from error
