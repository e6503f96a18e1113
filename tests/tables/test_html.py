"""Tables for notebooks: escaped, and the cases in the colours of the pictures."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.tables.test_latex import HOSTILE
from tinygrad_rnn.tables import html

TAGS = {
    "div",
    "style",
    "table",
    "caption",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
    "i",
    "p",
    "strong",
    "ul",
    "li",
}
"""Those that tables consist of."""


class Read(HTMLParser):
    """What a page consists of: tags, which must close, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.text = ""
        self.cells: list[list[str]] = []
        self.attributes: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}
        if tag not in ("img", "br"):
            self.open.append(tag)
        if tag == "br":
            self.cells[-1][-1] += "\n"
        if tag == "tr":
            self.cells.append([])
        if tag in ("td", "th"):
            self.cells[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data
            if {"td", "th"} & set(self.open):
                self.cells[-1][-1] += data


@pytest.mark.parametrize("name", [*HOSTILE, "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'])
def test_no_name_is_read_as_html(name: str) -> None:
    shown = "".join(c if c.isprintable() else "\ufffd" for c in name)
    read = Read(
        html.block(
            html.table(("a", name), [[name, html.chip(name)], [html.bar(0.5, name), name]], "<>", name)
        )
    )
    assert read.tags <= TAGS
    assert read.attributes <= {"class", "style", "role", "tabindex"}
    assert read.cells == [["a", shown], [shown, shown], [shown, shown]]


def test_of_many_lines_both_ends_are_shown() -> None:
    rows = [[str(i)] for i in range(1000)]
    read = Read(html.table(("n",), rows, "<"))
    assert read.cells[60:64] == [["59"], ["… 880 more …"], ["940"], ["941"]]
    assert len(Read(html.table(("n",), rows, "<", whole=True)).cells) == 1001
    assert len(Read(html.table(("n",), rows[:121], "<")).cells) == 122


def test_rules_tapes_summaries_and_explanations() -> None:
    rules = Read(tg.rows._repr_html_())
    assert len(rules.cells) == 1 + len(tg.rows)
    assert rules.cells[1 + list(tg.rows).index("tanh")][3] == "dx = dy · (1 − y²)"
    assert Read(tg.rows["matmul"]._repr_html_()).cells[1][2:4] == ["a @ b", "da = dy @ bᵀ\ndb = aᵀ @ dy"]
    x = tg.tensor([1.0, 2.0], requires_grad=True, name="<x>")
    tape = tg.Tape.of(tg.sum(tg.tanh(x)))
    assert Read(tape._repr_html_()).cells[1:] == [
        ["0", "tanh", "composition", "(2,)", "<x>"],
        ["1", "sum", "addition", "()", "#0"],
    ]
    tape.release()
    assert Read(tape._repr_html_()).cells[1] == ["0", "tanh", "composition", "released", ""]
    layer = tg.nn.LSTM(2, 3)
    summary = tg.summary(tg.nn.Sequential(tg.nn.Linear(2, 3), tg.nn.Linear(3, 1)), (5, 2))
    assert Read(summary._repr_html_()).cells[-1] == ["1", "Linear", "(5, 1)", "4"]
    assert "13 parameters; 52 bytes" in Read(summary._repr_html_()).text
    told = tg.explain(layer, tg.zeros((4, 1, 2)))
    read = Read(told._repr_html_())
    assert told.splitlines()[0] in read.text
    assert [when for when, _ in read.cells] == [
        "when",
        *(line.split("  ")[1] for line in told.splitlines()[1:]),
    ]
    assert Read(layer.explain()._repr_html_()).cells == read.cells


def test_a_report() -> None:
    layer = tg.nn.LSTM(2, 3, num_layers=2, dtype="float64")
    ys, _ = layer(np.random.default_rng(0).normal(size=(12, 2, 2)))
    report = tg.flow(tg.mean(ys[-1] ** 2))
    read = Read(report._repr_html_())
    verdict = report.track("layer 2").verdict()
    assert read.cells[2][:3] == ["layer 2", verdict.kind, f"{verdict.horizon} of 11 steps back"]
    assert all(str(statement) in read.text for statement in report.worst(2))
    assert [row[1] for row in read.cells if row[0] == "layer 1"][1:] == [
        one.name for one in report.activations()
    ][:5]
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    plain = Read(tg.flow(tg.sum(tg.tanh(x)))._repr_html_())
    assert [row[1] for row in plain.cells] == ["case", "addition", "composition"]
