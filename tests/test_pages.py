"""Pages of their own: what every one of them has."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tinygrad_rnn import pages

BREAKING_OUT = "</script><script>alert(1)</script><!-- \u2028 {title}"


class Read(HTMLParser):
    """The elements of a page, and the text in each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open, data))


def test_a_page_holds_what_it_is_given_and_may_load_nothing() -> None:
    read = Read(pages.page(BREAKING_OUT, "<h1>{as it is}</h1>", "p {}", "const x = {};", {"a": BREAKING_OUT}))
    assert [tag for tag, _ in read.elements].count("script") == 2
    policy = next(look["content"] for _, look in read.elements if "http-equiv" in look)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    assert ("title", BREAKING_OUT) in read.texts
    assert ("h1", "{as it is}") in read.texts
    data, program = (text for tag, text in read.texts if tag == "script")
    assert json.loads(data) == {"a": BREAKING_OUT}
    assert data.isascii()
    assert program == '"use strict";{\nconst x = {};\n}'


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1 / 3, 0.3333), (123456, 123500.0), (float("nan"), None), (float("-inf"), None), (None, None)],
)
def test_numbers_are_rounded_or_nothing(value: float | None, expected: float | None) -> None:
    assert pages.rounded(value, 4) == expected


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        pages.page("", "", "", "", float("nan"))


def test_a_frame_keeps_the_page_to_itself() -> None:
    read = Read(pages.framed('"><script>', '<p title="x">1 & 2</p>', height=300))
    assert [tag for tag, _ in read.elements] == ["iframe"]
    look = read.elements[0][1]
    assert look["srcdoc"] == '<p title="x">1 & 2</p>'
    assert look["title"] == '"><script>'
    assert look["sandbox"] == "allow-scripts"
    assert look["height"] == "300"


def test_files_come_without_what_only_their_readers_need(tmp_path: Path) -> None:
    (tmp_path / "one.js").write_text("// why\n  const é = 1;\n\n", "utf-8")
    (tmp_path / "two.js").write_text("const two = 2; // kept", "utf-8")
    assert pages.source(tmp_path, "one.js", "two.js") == "const é = 1;\nconst two = 2; // kept"


@pytest.mark.parametrize("folder", [".", "graph/viewer", "diagnosis"])
def test_no_page_has_markup_of_users(folder: str) -> None:
    """What the pages rest on: users' text gets in by ``textContent`` alone."""
    for file in (Path(pages.__file__).parent / folder).glob("*.js"):
        program = file.read_text(encoding="utf-8")
        assert not re.search(r"(inner|outer|insertAdjacent)HTML|document\.write|\beval\b", program)
