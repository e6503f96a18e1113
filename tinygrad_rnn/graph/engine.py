"""Graphviz: DOT text in, an image out.

The program `dot` is run by the package ``graphviz``; where it is missing, its port to Python, which is a
program too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from queue import Empty, SimpleQueue
from typing import Any

from ..errors import DrawError

_TIMEOUT = 20
"""Seconds that an engine may take."""

_NO_ENGINE = (
    "no graphviz engine found: pip install graphviz-pure, or apt install graphviz; the DOT text is in .dot"
)


def found() -> str | None:
    """The program that lays out: Graphviz itself, else its port to Python, which stands beside the
    interpreter."""
    beside = os.path.dirname(sys.executable)
    return shutil.which("dot") or shutil.which("graphviz-pure") or shutil.which("graphviz-pure", path=beside)


def is_graphviz(program: str | None) -> bool:
    """Whether it is Graphviz itself, which writes PDF too."""
    return program is not None and os.path.splitext(os.path.basename(program))[0] == "dot"


def image(dot: str, kind: str, placed: bool = False) -> bytes:
    """The image of a DOT text.

    Args:
        kind: "svg", "png" or "pdf"; the port knows no "pdf".
        placed: the text says where everything stands (pos, lp, bb), so that nothing is left to lay out.

    Raises:
        DrawError: there is no engine, it cannot be run, it failed, or it took too long.
    """
    program = found()
    if program is None:
        raise DrawError(_NO_ENGINE)
    try:
        return _graphviz(dot, kind, placed) if is_graphviz(program) else _port(program, dot, kind, placed)
    except (subprocess.TimeoutExpired, TimeoutError) as error:
        lines = dot.count("\n")
        raise DrawError(
            f"the layout of {lines} lines of DOT text took more than {_TIMEOUT} s: draw fewer steps, or "
            "save .dot"
        ) from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode("utf-8", "replace").strip() or f"exit status {error.returncode}"
        raise DrawError(f"{os.path.basename(program)} cannot write {kind}: {said}") from error
    except OSError as error:
        raise DrawError(f"the engine {program} cannot be run: {error}") from error


def _graphviz(dot: str, kind: str, placed: bool) -> bytes:
    """By the package, which knows no limit of time and gives no handle on its program: one that takes too
    long is left to end by itself."""
    import graphviz  # only those who draw need it

    options: dict[str, Any] = {"engine": "neato", "neato_no_op": 2} if placed else {"engine": "dot"}
    came: SimpleQueue[Any] = SimpleQueue()

    def run() -> None:
        try:
            came.put(graphviz.Source(dot).pipe(kind, quiet=True, **options))
        except (OSError, subprocess.CalledProcessError, graphviz.ExecutableNotFound) as error:
            came.put(error)

    threading.Thread(target=run, daemon=True).start()
    try:
        image = came.get(timeout=_TIMEOUT)
    except Empty:
        raise TimeoutError from None
    if isinstance(image, graphviz.ExecutableNotFound):
        raise FileNotFoundError(str(image)) from image
    if isinstance(image, Exception):
        raise image
    return image


def _port(program: str, dot: str, kind: str, placed: bool) -> bytes:
    """It warns of every letter that it has no width for; of a success nothing is told."""
    layout = ["-Kneato", "-n2"] if placed else ["-Kdot"]
    done = subprocess.run(
        [program, f"-T{kind}", *layout],
        input=dot.encode("utf-8"),
        capture_output=True,
        timeout=_TIMEOUT,
        check=True,
    )
    return done.stdout
