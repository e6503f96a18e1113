"""A picture: DOT text, and the engine that turns it into an image."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from .. import arguments, atomic
from ..errors import DrawError
from . import html, layout, shown
from .scene import Scene

_KINDS = ("svg", "png", "pdf", "dot", "html")

_TIMEOUT = 20
"""Seconds that an engine may take."""

_NO_ENGINE = (
    "no graphviz engine found: pip install graphviz-pure, or apt install graphviz; the DOT text is in .dot"
)


class Picture:
    """A drawing of a tape. A notebook shows it; ``show`` opens it in a browser, ``save`` writes it.

    >>> picture = tg.draw(tg.tensor([0.5], requires_grad=True) * 2.0)
    >>> picture.save("picture.html")

    Attributes:
        dot: its text in Graphviz's language; it needs no engine.
    """

    def __init__(self, dot: str, summary: str, scene: Scene) -> None:
        self.dot = dot
        self._summary = summary
        self._scene = scene

    def __str__(self) -> str:
        return self._summary

    def __repr__(self) -> str:
        return f"<{self._summary}>"

    def svg(self) -> str:
        """The picture as SVG text.

        Raises:
            DrawError: there is no engine, or it failed.
        """
        return _render(self.dot, "svg").decode("utf-8")

    def html(self) -> str:
        """The picture as one page that loads nothing, for a browser: facts of every operation, its way to the
        loss, search, steps that close, modules that open, the residual walking back.

        Without an engine the layout is our own, a plainer one.

        Raises:
            DrawError: the engine failed.
        """
        return html.page(self._scene, _drawn)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file, in the format that its ending names: svg, png, pdf, dot or html.

        Raises:
            DrawError: another ending, no engine, or no permission to write there. What stood at ``path`` is
                then as before.
        """
        target = Path(arguments.path("save: path", path))
        kind = target.suffix.lower()[1:]
        if kind not in _KINDS:
            raise DrawError(
                f"save: {target.name!r} has none of the endings {', '.join(f'.{known}' for known in _KINDS)}"
            )
        texts = {"dot": lambda: self.dot, "html": self.html}
        atomic.write(target, texts[kind]() if kind in texts else _render(self.dot, kind), DrawError)

    def show(self) -> None:
        """Look at the picture's page: in a notebook there, else in the browser that opens web pages on this
        machine. The page is a temporary file.

        Raises:
            DrawError: there is no browser here.
        """
        notebook = shown.notebook()
        if notebook is None:
            shown.open_in_browser(self.html())
        else:
            notebook.display_pub.publish(self._repr_mimebundle_())

    def source(self) -> Any:
        """The picture as a ``graphviz.Source``, for the tools around that package."""
        import graphviz  # only those who go on with it there need it

        return graphviz.Source(self.dot)

    def _repr_html_(self) -> str:
        """For what shows HTML: the page, in a frame."""
        return shown.framed(str(self), self.html())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        """For a notebook: the page; where pages are not shown, the image, if there is an engine for it."""
        try:
            bundle = {"text/html": self._repr_html_(), "text/plain": str(self)}
        except DrawError as error:
            return {"text/plain": f"{self}\n{error}"}
        with contextlib.suppress(DrawError):
            bundle["image/svg+xml"] = shown.inlined(self.svg())
        return bundle


def _drawn(scene: Scene) -> ElementTree.Element:
    """A scene's SVG, by an engine or by our own layout."""
    return html.cleaned(_render(scene.dot, "svg"), scene) if _engine() else layout.svg_of(scene)


def _engine() -> str | None:
    """The program that lays out: Graphviz itself, else its port to Python, which stands beside the
    interpreter."""
    beside = os.path.dirname(sys.executable)
    return shutil.which("dot") or shutil.which("graphviz-pure") or shutil.which("graphviz-pure", path=beside)


def _render(dot: str, kind: str) -> bytes:
    engine = _engine()
    if engine is None:
        raise DrawError(_NO_ENGINE)
    try:
        done = subprocess.run(
            [engine, f"-T{kind}"],
            input=dot.encode("utf-8"),
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        lines = dot.count("\n")
        raise DrawError(
            f"the layout of {lines} lines of DOT text took more than {_TIMEOUT} s: draw fewer steps, or "
            "save .dot"
        ) from error
    except OSError as error:
        raise DrawError(f"the engine {engine} cannot be run: {error}") from error
    if done.returncode or not done.stdout:
        said = done.stderr.decode("utf-8", "replace").strip() or f"exit status {done.returncode}"
        raise DrawError(f"{os.path.basename(engine)} cannot write {kind}: {said}")
    return done.stdout
