"""The page of a picture: its file, and our own layout."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.browser import data_of, lstm_layer, pictures_of
from tests.graph.scenes import (
    HIDDEN,
    INPUT,
    exact_cases,
    gru_step,
    leaf,
    lstm_step,
    unrolled,
)
from tinygrad_rnn import pages
from tinygrad_rnn.graph import html


def test_file_is_small_and_loads_nothing(layouts, tmp_path):
    drawn = tg.draw(lstm_layer(), gains=True)
    drawn.save(tmp_path / "lstm.html")
    page = (tmp_path / "lstm.html").read_text(encoding="utf-8")
    assert page == drawn.html()
    assert len(page.encode()) < 150_000
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=|@import|https?:(?!//www\.w3\.org)", page)


def test_program_and_style_are_small():
    """As large as a picture of some steps."""
    files = [*(f"{name}.js" for name in html._PROGRAM), "page.css", "page.html"]
    assert len(pages.source(html._VIEWER, *files).encode()) < 42_000


@pytest.mark.parametrize(
    "draw",
    [
        *(
            lambda build=build: tg.draw(build(), gains=True)
            for build in (exact_cases, lstm_step, gru_step, unrolled, lstm_layer)
        ),
        *(lambda view=view: tg.draw(lstm_layer(20), view=view) for view in ("steps", "cells")),
        lambda: tg.draw(lstm_step(), order=True, values=True),
        lambda: tg.draw(
            tg.sum(
                tg.nn.LSTM(INPUT, HIDDEN, bidirectional=True)(leaf("x", 20, 2, INPUT).astype("float32"))[0]
            ),
            view="steps",
        ),
    ],
)
def test_everything_that_the_page_speaks_of_is_drawn(layouts, draw):
    page = draw().html()
    all_ids = re.findall(r'<[^>]*? id="([^"]+)"', page)
    ids = set(all_ids)
    assert len(ids) == len(all_ids)
    for data in pictures_of(page):
        spoken = (
            [box["id"] for box in data["boxes"]]
            + [arrow[0] for arrow in data["arrows"]]
            + [group["id"] for group in data["groups"]]
        )
        assert set(spoken) <= ids
        assert {id for moment in data["moments"] for id in moment["at"]} <= ids
        assert {box["group"] for box in data["boxes"]} - {None} == {group["id"] for group in data["groups"]}


def test_data_is_plain_json_also_where_residuals_are_not_finite(layouts):
    with np.errstate(all="ignore"):
        page = tg.draw(tg.sum(tg.log(leaf("x", 2) * 0.0)), gains=True).html()
    text = re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1]
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert ["residual", "inf"] in next(box["facts"] for box in data_of(page)["boxes"] if box["label"] == "×")
    assert "<" not in text
    assert text.isascii()


def test_what_an_engine_adds_beside_shapes_and_text_is_left_out():
    svg = (
        b'<?xml version="1.0"?><!DOCTYPE svg><!-- c --><svg xmlns="http://www.w3.org/2000/svg" '
        b'xmlns:xlink="http://www.w3.org/1999/xlink" '
        b'onload="x()"><g class="graph"><title>t</title><polygon/><g id="n0" class="node" style="x"><g '
        b'id="a_n0"><a xlink:href="http://x">'
        b'<ellipse onclick="x()"/><image '
        b'href="http://x"/><text>&lt;b&gt;</text></a></g></g><script>x()</script></g></svg>'
    )
    clean = ElementTree.tostring(html.cleaned(svg), encoding="unicode")
    assert (
        clean
        == '<svg><g class="graph"><g id="n0" class="node"><ellipse /><text>&lt;b&gt;</text></g></g></svg>'
    )


def test_facts_are_those_of_straight_computation():
    hidden, state = lstm_step()
    boxes = data_of(tg.draw([hidden, state], gains=True, start=hidden).html())["boxes"]
    facts = dict(next(box["facts"] for box in boxes if box["label"] == "f = σ"))

    shapes = {"x": (2, 3), "h": (2, 4), "c": (2, 4), "W": (3, 16), "U": (4, 16), "b": (16,)}
    x, h, c, W, U, b = (np.asarray(leaf(name, *shape).numpy()) for name, shape in shapes.items())
    i, f, g, o = np.split(x @ W + h @ U + b, 4, axis=1)
    i, f, g, o = 1 / (1 + np.exp(-i)), 1 / (1 + np.exp(-f)), np.tanh(g), 1 / (1 + np.exp(-o))
    df = o * (1 - np.tanh(f * c + i * g) ** 2) * c  # from h[t], whose own residual is 1
    assert facts["shape"] == "(2, 4) float64"
    assert facts["range"] == f"{f.min():.6g} … {f.max():.6g}"
    assert float(facts["residual"]) == pytest.approx(np.linalg.norm(df), rel=1e-5)
    gain = np.linalg.norm(df * f * (1 - f)) / np.linalg.norm(df)
    assert facts["gain to split"].startswith(f"×{gain:.6g} ")


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (lambda x: x * x, "y = a × b"), (lambda x: x - 1.0, "y = a − b"), (tg.tanh, "y = tanh(x)"),
        (lambda x: x**2, ("y = x²")),
        (lambda x: x @ x, "y = a @ b"), (lambda x: tg.stack([x, x, x]), "y = stack(x1, x2, x3)"),
        (abs, ("y = |x|")),
        (lambda x: -x, "y = negative(x)"),
    ],
)  # fmt: skip
def test_formula_uses_the_letters_of_the_rule(make, formula):
    boxes = data_of(tg.draw(make(leaf("x", 2, 2))).html())["boxes"]
    assert ["formula", formula] in next(box["facts"] for box in boxes if box["rule"])
