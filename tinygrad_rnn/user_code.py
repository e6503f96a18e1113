"""Which line of a program is the user's: one finder for errors, explanations, anomaly mode and names.

The user's is every file but those of this package, of NumPy and of the standard library: scripts, other
packages, notebooks, and what was typed or executed from a string.
"""

from __future__ import annotations

import dis
import functools
import linecache
import os
import sys
import types
from collections.abc import Container, Iterable
from dataclasses import dataclass

import numpy

PACKAGE = os.path.dirname(__file__)
_STANDARD = os.path.dirname(os.__file__)
_INSTALLED = ("site-packages", "dist-packages")
"""Folders of other packages, which stand inside of the standard library's."""


@dataclass(frozen=True)
class Line:
    """A line of the user's code.

    Attributes:
        file: its path, or what stands for one: ``<stdin>``.
        number: from 1.
    """

    file: str
    number: int

    @property
    def name(self) -> str:
        """The file without its folders."""
        return os.path.basename(self.file)

    @property
    def code(self) -> str:
        """The text, or "" where it cannot be read any more."""
        return linecache.getline(self.file, self.number).strip()

    def __str__(self) -> str:
        return f"in line {self.number} of {self.name}" + (f": {self.code}" if self.code else "")


def calling_line() -> Line | None:
    """The user's line that is running, through whatever of ours and of others' it called; None if there is
    none."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and not is_user(file_of(frame)):
        frame = frame.f_back
    return None if frame is None else _line(frame, frame.f_lineno)


def line_of(error: BaseException) -> Line | None:
    """The innermost line of the user's that an error came through; None if there is none."""
    found, step = None, error.__traceback__
    while step is not None:
        if is_user(file_of(step.tb_frame)):
            found = step
        step = step.tb_next
    return None if found is None else _line(found.tb_frame, found.tb_lineno)


def line_that_names(codes: Iterable[types.CodeType], names: Container[str]) -> Line | None:
    """The first line of the user's that writes to one of these variables or attributes, or else that names
    one; None if none does."""
    found: list[tuple[bool, str, int]] = []
    for code in codes:
        if is_user(code.co_filename):
            number = code.co_firstlineno
            starts = dict(dis.findlinestarts(code))
            for instruction in dis.get_instructions(code):
                number = starts.get(instruction.offset) or number
                if instruction.argval in names:
                    writes = instruction.opname.startswith(("STORE", "DELETE"))
                    found.append((not writes, code.co_filename, number))
    return None if not found else Line(*min(found)[1:])


def file_of(frame: types.FrameType) -> str:
    """The file of the module whose code a frame runs; without a module, what the code was compiled as."""
    return str(frame.f_globals.get("__file__") or frame.f_code.co_filename)


@functools.lru_cache(maxsize=4096)
def is_user(file: str) -> bool:
    """Whether a file is the user's; a folder or a file whose name only begins like the package's is."""
    if file.startswith("<frozen ") or within(file, PACKAGE) or within(file, os.path.dirname(numpy.__file__)):
        return False
    return not within(file, _STANDARD) or any(
        within(file, os.path.join(_STANDARD, folder)) for folder in _INSTALLED
    )


def within(file: str, folder: str) -> bool:
    """Whether a file lies in a folder or below, by their paths as they were written or from the current
    folder on."""
    return any(path(file).startswith(os.path.join(path(folder), "")) for path in (os.path.normcase, _whole))


def _whole(path: str) -> str:
    return os.path.normcase(os.path.abspath(path))


def _line(frame: types.FrameType, number: int) -> Line:
    linecache.lazycache(frame.f_code.co_filename, frame.f_globals)  # archives are read by the module's loader
    return Line(frame.f_code.co_filename, number)
