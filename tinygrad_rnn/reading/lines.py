"""Which line of the user's code recorded an operation: remembered inside of a block only, since it costs at
each operation."""

from __future__ import annotations

import weakref

from ..tape import Entry, Observer, thread
from ..user_code import Line, calling_line

_lines: weakref.WeakKeyDictionary[Entry, Line] = weakref.WeakKeyDictionary()


class Lines(Observer):
    """A block in which operations remember their lines."""

    def recorded(self, entry: Entry) -> None:
        line = calling_line() if thread.line is None else thread.line
        if line:
            _lines[entry] = line


def line_of_entry(entry: Entry) -> Line | None:
    """The line that recorded an operation, if that was in such a block."""
    return _lines.get(entry)


def copy_line(entry: Entry, copy: Entry) -> None:
    """Give an operation that stands in place of another that one's line."""
    if entry in _lines:
        _lines[copy] = _lines[entry]
