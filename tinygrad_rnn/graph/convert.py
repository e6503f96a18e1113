"""A finished SVG as an image of another kind.

Both packages draw what the finish asks for, text of a given length and halos among it. CairoSVG and svglib
were tried: they leave out the one and paint the other over the letters.
"""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import DrawError

_SCALE = 2
"""Pixels of a PNG for each pixel that the picture has on a page."""


def png(svg: str) -> bytes:
    """Raises:
    DrawError: resvg_py is not installed.
    """
    return _package("resvg_py", "PNG", "render").svg_to_bytes(svg_string=svg, dpi=96, zoom=_SCALE)


def pdf(svg: str) -> bytes:
    """Raises:
    DrawError: svg2pdf_py is not installed.
    """
    package = _package("svg2pdf_py", "PDF without Graphviz's dot", "pdf")
    return package.svg_to_pdf(svg, package.FontDatabase.system())


def _package(name: str, what: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise DrawError(
            f"{what} needs the package {name}: pip install 'tinygrad_rnn[{extra}]'; .svg needs none"
        ) from error
