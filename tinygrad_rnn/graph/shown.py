"""Where a picture is looked at: in the notebook, else in a browser.

A notebook gets the page in a frame. The page stands in the frame's own markup, so it is there as well in what
nbconvert writes, and without a kernel.
"""

from __future__ import annotations

import os
import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import Any

from ..errors import DrawError


def inlined(svg: str) -> str:
    """The SVG as a part of a page: without prolog."""
    return svg[svg.index("<svg") :]


def notebook() -> Any:
    """The notebook that this program runs in, as IPython knows it, or None."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell if hasattr(shell, "kernel") else None


def open_in_browser(page: str) -> None:
    """Open a page in the user's browser, out of a file in the folder for temporary ones, where it stays: the
    browser reads it when it gets to it.

    Raises:
        DrawError: there is no browser here, or no place for the file.
    """
    advice = 'picture.save("picture.html") writes the page'
    try:
        number, name = tempfile.mkstemp(prefix="tinygrad_rnn-", suffix=".html")
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as error:
        raise DrawError(f"show: no temporary file can be written ({error}); {advice}") from error
    try:
        opened = webbrowser.open(Path(name).as_uri())
    except webbrowser.Error:
        opened = False
    if not opened:
        Path(name).unlink(missing_ok=True)
        raise DrawError(f"show: no browser was found; {advice}")
