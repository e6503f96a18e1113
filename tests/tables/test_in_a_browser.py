"""Tables in Chromium: they load and run nothing, and what is too wide for a phone scrolls by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tinygrad_rnn as tg
from tests.graph.browser import BREAKING_OUT, Reader


class Saved:
    """What a reader opens."""

    def __init__(self, text: str, dark: bool) -> None:
        look = "background: #111827; color: #dddddd" if dark else ""
        head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        self._text = f'<!doctype html>{head}<body style="{look}">{text}'

    def save(self, path: Path) -> None:
        path.write_text(self._text, encoding="utf-8")


@pytest.mark.parametrize("dark", [False, True])
def test_a_table_on_a_phone(reader: Any, dark: bool) -> None:
    total = tg.tensor([0.5], requires_grad=True)
    for name in BREAKING_OUT:
        total = tg.tanh(total)
        total.name = name
        total = total * 2.0
    table = tg.table(total)
    Reader.open(reader, Saved(table._repr_html_() + tg.rows._repr_html_(), dark), dark, width=400)
    assert reader.js("window.hacked") is None
    assert reader.js("document.documentElement.scrollWidth <= innerWidth")
    assert reader.js(
        "[...document.querySelectorAll('.tinygrad-rnn')].map(e => e.scrollWidth > e.clientWidth)"
    ) == [
        True,
        True,
    ]
    names = reader.js("[...document.querySelectorAll('tr')].map(row => row.children[1].textContent)")
    assert names[1 : 1 + len(table)] == [line.name for line in table]
    colours = reader.js("[...document.querySelectorAll('td')].map(cell => getComputedStyle(cell).color)")
    assert set(colours) == {"rgb(221, 221, 221)" if dark else "rgb(0, 0, 0)"}
