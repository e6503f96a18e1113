"""A picture: DOT text, and the engine that turns it into an image."""

from __future__ import annotations

import contextlib
import os
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import arguments, atomic, pages
from ..errors import DrawError
from . import convert, engine, finish, html, layout, shown
from .scene import Scene


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
        """The picture as SVG text, the same with any fonts.

        Without an engine the layout is our own, a plainer one.

        Raises:
            DrawError: the engine failed.
        """
        return finish.titled(_drawn(self._scene), self._scene)

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

        PNG is made of the SVG, at twice its size (extra ``render``). PDF is written by Graphviz's ``dot``;
        where that is missing it is made of the SVG, too (extra ``pdf``).

        Raises:
            DrawError: another ending, an engine that failed, a package that is missing, or no permission to
                write there. What stood at ``path`` is then as before.
        """
        target = Path(arguments.path("save: path", path))
        kind = target.suffix.lower()[1:]
        contents: dict[str, Callable[[], str | bytes]] = {
            "svg": self.svg,
            "png": lambda: convert.png(self.svg()),
            "pdf": self._pdf,
            "dot": lambda: self.dot,
            "html": self.html,
        }
        if kind not in contents:
            known = ", ".join(f".{known}" for known in contents)
            raise DrawError(f"save: {target.name!r} has none of the endings {known}")
        atomic.write(target, contents[kind](), DrawError)

    def _pdf(self) -> bytes:
        if engine.is_graphviz(engine.found()):
            return engine.image(self.dot, "pdf", self._scene.placed is not None)
        return convert.pdf(self.svg())

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
        return pages.framed(str(self), self.html(), height=480)

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
    """A scene's SVG: by an engine, or by our own layout where there is none or everything has its place
    already, so that an engine could only differ in how it draws a line."""
    by_engine = scene.placed is None and engine.found()
    drawing = html.cleaned(engine.image(scene.dot, "svg")) if by_engine else layout.svg_of(scene)
    return finish.finished(drawing, scene)
