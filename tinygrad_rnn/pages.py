"""A page of its own: one file with its style, its program and its data, that loads nothing from anywhere.

Users' text gets into it inside of JSON, and from there by ``textContent``, so it cannot become markup.
"""

from __future__ import annotations

import html
import json
import math
from pathlib import Path
from typing import Any

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="data">{data}</script>
<script>"use strict";{{
{program}
}}</script>
</body>
</html>
"""

_HERE = Path(__file__).parent

_FRAME = (
    '<iframe title="{title}" sandbox="allow-scripts" srcdoc="{page}" width="100%" height="{height}" '
    'style="border: 1px solid #8884; box-sizing: border-box; resize: vertical"></iframe>'
)


def page(title: str, body: str, style: str, program: str, data: Any) -> str:
    """The whole file.

    Args:
        title: plain text.
        body: markup.
        style, program: CSS and JavaScript, as :func:`style_of` and :func:`program_of` read them.
        data: what the program finds as JSON in the element ``data``.
    """
    return _PAGE.format(
        title=html.escape(title), style=style, body=body.strip(), data=_json(data), program=program
    )


def framed(title: str, page: str, height: int) -> str:
    """The page as a part of another one: in a frame that may run its own program and nothing else. It reaches
    neither what is around it nor files nor the network.

    Args:
        title: plain text, for those who hear the page.
        height: in CSS pixels.
    """
    return _FRAME.format(title=html.escape(title), page=html.escape(page), height=height)


def source(folder: Path, *names: str) -> str:
    """Files of a page, one after the other, without indentation and lines of comment."""
    lines = (line.strip() for name in names for line in (folder / name).read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("//"))


def style_of(folder: Path, *names: str) -> str:
    """What all pages look like, and then a page's own files."""
    return f"{source(_HERE, 'pages.css')}\n{source(folder, *names)}"


def program_of(folder: Path, *names: str) -> str:
    """What the programs of all pages begin with, and then a page's own files."""
    return f"{source(_HERE, 'pages.js')}\n{source(folder, *names)}"


def rounded(value: float | None, digits: int = 6) -> float | None:
    """A number as data has it, with so many significant digits; JSON knows none that is not finite."""
    return float(f"{value:.{digits}g}") if value is not None and math.isfinite(value) else None


def _json(content: Any) -> str:
    """JSON that may stand inside of a script element: no ``<``, and nothing but ASCII."""
    text = json.dumps(content, sort_keys=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")
