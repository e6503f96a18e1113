"""The files and functions that the book names are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.source_names import missing

BOOK = Path(__file__).parent.parent.parent / "docs"
NAMED = [
    (path.relative_to(BOOK).as_posix(), name)
    for path in sorted(BOOK.rglob("*.md"))
    for name in re.findall(r"\{source\}`([^`]+)`", path.read_text(encoding="utf-8"))
]


def test_what_the_book_names_is_in_the_source() -> None:
    assert len({name for _, name in NAMED}) > 50
    assert [f"{page}: {problem}" for page, name in NAMED if (problem := missing(name))] == []


@pytest.mark.parametrize(
    "name", ["tape/", "tape/record.py", "tape/record.py:apply", "tape/entry.py:Replay.pull"]
)
def test_names_that_are_there(name: str) -> None:
    assert missing(name) == ""


@pytest.mark.parametrize(
    "name", ["tap/", "tape/records.py", "tape/record.py:applied", "tape/record.py:Replay.pull"]
)
def test_names_that_are_not_there(name: str) -> None:
    assert missing(name) != ""
