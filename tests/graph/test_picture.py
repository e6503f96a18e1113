"""What engines make of a picture, users' text that tries to break out, and what can go wrong."""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
import types
import webbrowser
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import (
    BATCH,
    GOLDENS,
    HIDDEN,
    HOSTILE,
    INPUT,
    exact_cases,
    leaf,
    leaky_run,
    named,
    rnn_step,
    tagged,
    texts,
    unrolled,
)
from tinygrad_rnn.errors import DrawError, DrawWarning, TapeError
from tinygrad_rnn.graph import engine as graphviz
from tinygrad_rnn.graph import picture, text
from tinygrad_rnn.graph.paint import PAINTS
from tinygrad_rnn.tape import scope


@pytest.mark.parametrize("name", ["lstm", "unrolled_3_gains", "lstm_order"])
def test_svg_has_every_id_of_the_tape(engine, name):
    drawn = GOLDENS[name]()
    tree = ElementTree.fromstring(drawn.svg())
    groups = [
        g
        for g in tree.iter("{http://www.w3.org/2000/svg}g")
        if g.get("class", "").startswith(("node", "edge"))
    ]
    wanted = re.findall(r'^ +(?:[nopk]\S+|\S+ -> \S+) \[id="([^"]+)"', drawn.dot, re.MULTILINE)
    assert sorted(g.get("id") for g in groups) == sorted(wanted)
    assert len(set(wanted)) == len(wanted)


@pytest.mark.parametrize("order", [False, True])
def test_hostile_names_come_back_as_they_are(engine, order):
    outs = []
    for name in HOSTILE:
        with scope("step", name):
            outs.append(named(tg.tanh(leaf(name, 2)), name))
    labels, tooltips = texts(tg.draw(outs, order=order, max_nodes=1000, title=HOSTILE[2]).svg())
    for name in HOSTILE:
        assert labels.count(name) >= 2, name  # the leaf and the result
        assert f"{name} = tanh" in labels
        assert f"t = {name}" in labels
        assert any(tip.startswith(f"{name} · parameter") for tip in tooltips)
    assert labels.count(HOSTILE[2]) == 3


def test_text_that_cannot_be_printed_or_is_long_is_replaced_or_cut(engine):
    out = leaf("a\nb\0c\u202ed\ud800e", 2) * leaf("w" * 100, 2) + leaf("", 2)
    labels, tooltips = texts(tg.draw(out).svg())
    assert "a\ufffdb\ufffdc\ufffdd\ufffde" in labels
    assert "w" * 27 + "…" in labels
    assert any("w" * 100 in tip for tip in tooltips)
    assert "(2,)" in labels  # an empty name is none
    assert text.shown_html("") == "&#160;"


@pytest.mark.parametrize("kind", ["svg", "png", "dot", "SVG"])
def test_save(engine, kind, tmp_path):
    drawn = tg.draw(rnn_step())
    drawn.save(tmp_path / f"p.{kind}")
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "dot": b"digraph"}
    assert (tmp_path / f"p.{kind}").read_bytes().startswith(starts[kind.lower()])
    assert [path.name for path in tmp_path.iterdir()] == [f"p.{kind}"]


def test_pdf_is_written_by_graphviz_or_else_made_of_the_svg(layouts, tmp_path):
    if layouts == "own layout":
        pytest.importorskip("svg2pdf_py")
    tg.draw(rnn_step()).save(tmp_path / "p.pdf")
    assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(("kind", "extra"), [("png", "render"), ("pdf", "pdf")])
def test_images_without_their_package_are_refused_by_the_name_of_the_extra(
    kind, extra, monkeypatch, tmp_path
):
    for package in ("resvg_py", "svg2pdf_py"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(graphviz, "found", lambda: None)
    with pytest.raises(DrawError, match=rf"the package .*pip install 'tinygrad_rnn\[{extra}\]'"):
        tg.draw(rnn_step()).save(tmp_path / f"p.{kind}")
    assert not list(tmp_path.iterdir())


def test_notebook_gets_svg_that_can_be_inlined(engine):
    drawn = tg.draw(rnn_step())
    bundle = drawn._repr_mimebundle_()
    root = ElementTree.fromstring(bundle["image/svg+xml"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "max-width: 100%" in root.get("style")
    assert bundle["text/html"] == drawn._repr_html_()
    assert bundle["text/plain"] == "graph of 5 operations (1 composition, 2 addition, 2 weighting)"


@pytest.fixture
def browser(monkeypatch, tmp_path):
    """The pages that were opened, where no real browser is."""
    opened = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    return opened


def test_show_opens_the_page_in_a_browser(browser, tmp_path):
    drawn = tg.draw(named(leaf("权重", 2) * 2.0, "y"))
    assert drawn.show() is None
    (file,) = tmp_path.iterdir()
    assert browser == [file.as_uri()]
    assert file.read_text(encoding="utf-8") == drawn.html()


def fails(address):
    raise webbrowser.Error("none")


@pytest.mark.parametrize("opens", [lambda address: False, fails])
def test_show_says_what_to_do_without_a_browser(browser, monkeypatch, tmp_path, opens):
    monkeypatch.setattr(webbrowser, "open", opens)
    with pytest.raises(
        DrawError, match=r'no browser was found; picture\.save\("picture\.html"\) writes the page'
    ):
        tg.draw(rnn_step()).show()
    assert list(tmp_path.iterdir()) == []


def test_show_says_what_to_do_without_a_place_for_the_page(browser, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(DrawError, match=r"no temporary file can be written .* picture\.save"):
        tg.draw(rnn_step()).show()
    assert browser == []


def test_in_a_notebook_show_displays_the_page_there(browser, monkeypatch):
    published = []
    shell = types.SimpleNamespace(kernel=True, display_pub=types.SimpleNamespace(publish=published.append))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    drawn = tg.draw(rnn_step())
    drawn.show()
    assert published == [drawn._repr_mimebundle_()]
    assert browser == []


# -- what can go wrong ---------------------------------------------------------------------------------------


def test_without_an_engine_our_own_layout_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    drawn = tg.draw(rnn_step(), title="one step")
    with pytest.raises(DrawError, match=r"pip install graphviz-pure.*\.dot"):
        graphviz.image(drawn.dot, "svg")
    for kind in ("svg", "dot", "html"):
        drawn.save(tmp_path / f"p.{kind}")
    labels, tooltips = texts((tmp_path / "p.svg").read_bytes())
    assert {"one step", "h[t] = tanh", "W"} <= set(labels)
    assert any(tip.startswith("W · parameter") for tip in tooltips)
    assert drawn._repr_mimebundle_()["image/svg+xml"].startswith("<svg")


def test_save_refuses_and_leaves_what_was_there(tmp_path):
    drawn = tg.draw(rnn_step())
    with pytest.raises(DrawError, match=r"'p\.gif' has none of the endings \.svg, \.png, \.pdf, \.dot"):
        drawn.save(tmp_path / "p.gif")
    with pytest.raises(DrawError, match="cannot write"):
        drawn.save(tmp_path / "no folder" / "p.dot")
    (tmp_path / "p.dot").mkdir()
    with pytest.raises(DrawError, match="cannot write"):
        drawn.save(tmp_path / "p.dot")
    assert [path.name for path in tmp_path.iterdir()] == ["p.dot"]


def test_broken_text_is_the_engines_error(engine):
    with pytest.raises(DrawError, match="cannot write svg"):
        picture.Picture("", "", dataclasses.replace(tg.draw(rnn_step())._scene, dot="digraph {")).svg()


@pytest.mark.skipif(os.name == "nt", reason="a program is no text there")
@pytest.mark.parametrize("name", ["dot", "graphviz-pure"])
def test_an_engine_that_takes_too_long_is_told(name, tmp_path, monkeypatch):
    (tmp_path / name).write_text("#!/bin/sh\nexec sleep 3\n", encoding="utf-8")
    (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(graphviz, "found", lambda: str(tmp_path / name))
    monkeypatch.setattr(graphviz, "_TIMEOUT", 0.1)
    with pytest.raises(DrawError, match=r"the layout of 1 lines of DOT text took more than 0\.1 s"):
        graphviz.image("digraph { a }\n", "svg")


def test_an_engine_draws_lines_where_everything_has_a_place(engine):
    dot = 'digraph { a [pos="50,50"]; b [pos="50,200"]; a -> b [pos="e,50,182 50,68 50,100 50,140 50,172"] }'
    places = [
        float(ellipse.get("cy", "0"))
        for ellipse in ElementTree.fromstring(graphviz.image(dot, "svg", placed=True)).iter()
        if ellipse.tag.endswith("ellipse")
    ]
    assert places[0] - places[1] == 150


def test_hostile_text_survives_the_tooltip_of_a_file():
    assert all(text.untold(text.tooltip(name)) == name for name in HOSTILE)


def test_what_cannot_be_drawn_is_refused_by_name():
    x = leaf("x", 2)
    for out in (x, leaf("c", 2, grad=False) * 2.0):
        with pytest.raises(TapeError, match="nothing was recorded"):
            tg.draw(out)
    for out in (3, [], None):
        with pytest.raises(DrawError, match="must be a tensor"):
            tg.draw(out)
    with pytest.raises(DrawError, match="no view 'cell'; the views are 'auto', 'ops', 'steps', 'cells'"):
        tg.draw(x * 2.0, view="cell")
    y = x * 2.0
    tg.Tape.of(y).release()
    with pytest.raises(TapeError, match="released"):
        tg.draw(y)


def test_too_many_nodes_are_refused_until_asked_for():
    y = x = leaf("x", 2)
    for _ in range(60):
        y = y + x
    with pytest.raises(
        DrawError, match="62 nodes are more than max_nodes=61: draw fewer steps, raise max_nodes"
    ):
        tg.draw(y, view="ops", max_nodes=61)
    assert tg.draw(y, max_nodes=62).dot == tg.draw(y, view="ops", max_nodes=62).dot
    with pytest.raises(
        DrawError,
        match="60 operations are more than max_nodes=10, and there are neither modules nor time steps",
    ):
        tg.draw(y, max_nodes=10)
    with pytest.raises(DrawError, match="neither modules nor time steps"):
        tg.draw(y, view="cells")
    with pytest.raises(DrawError, match="nothing here was recorded in two time steps"):
        tg.draw(y, view="steps")


def test_a_view_that_can_be_taken_in_is_chosen_and_said():
    with pytest.warns(
        DrawWarning, match="drew 100 steps as boxes: 503 operations are more than max_nodes=150"
    ) as told:
        drawn = tg.draw(leaky_run())
    assert len(told) == 1
    assert told[0].filename == __file__
    assert str(told[0].message).removeprefix("draw: ").replace('"', "&quot;") in drawn.dot
    with pytest.warns(DrawWarning, match="drew 6 modules as boxes: "):
        drawn = tg.draw(tagged(20, num_layers=2, bidirectional=True), max_nodes=31)
    assert "layer 2 reversed: LSTMCell, 20 steps" in drawn.dot
    with pytest.raises(DrawError, match="9 boxes of modules are more, too: draw less"):
        tg.draw(tagged(20, num_layers=2, bidirectional=True), max_nodes=5)
    assert tg.draw(unrolled()).dot == tg.draw(unrolled(), view="ops").dot


@pytest.mark.both_backends
def test_values_are_the_range_of_each_result():
    a, b = tg.tensor(np.array([-0.5, 2.0]), requires_grad=True), tg.tensor(np.array([4.0, 4.0]))
    dot = tg.draw(tg.sum(a * b), values=True).dot
    assert ">-2 … 8<" in dot
    assert ">6<" in dot
    plain = tg.draw(tg.sum(a * b)).dot
    assert "…<" not in plain
    assert re.search(
        r'label="×"[^]]* class="case3", tooltip="[^"]*multiply \(2,\) float64 · values -2 … 8 ', plain
    )
    assert 'tooltip="b · input (2,) float64 · values 4"' in plain


def test_grad_is_untouched_by_the_views_of_steps_and_modules():
    layer = tg.nn.LSTM(INPUT, HIDDEN)
    loss = tg.sum(layer(tg.tensor(np.ones((9, BATCH, INPUT), "float32")))[0])
    for view in ("steps", "cells"):
        tg.draw(loss, view=view)
    assert all(parameter.grad is None for parameter in layer.parameters())


@pytest.mark.parametrize("view", ["steps", "cells"])
def test_hostile_names_come_back_from_steps_and_modules(engine, view):
    model = tg.nn.Sequential()
    h = leaf(HOSTILE[6], 2)
    for name in HOSTILE:
        with scope("step", name):
            h = named(h * 0.5, HOSTILE[2])
        vars(model)[name] = tg.nn.Linear(2, 2, dtype="float64")
        h = h if view == "steps" else vars(model)[name](h)
    with scope("module", model):
        loss = named(tg.sum(model(h)), HOSTILE[0])
    drawn = tg.draw(loss, view=view)
    found = [label.strip() for label in texts(drawn.svg())[0]]
    if view == "steps":
        shown = [*HOSTILE[:3], *HOSTILE[-4:]]
        assert {f"t = {name}" for name in shown} <= set(found)
        assert any(label.startswith(HOSTILE[2] + "  ") for label in found)
    else:
        assert {HOSTILE[0], HOSTILE[6], *(f"{name}: Linear" for name in HOSTILE)} <= set(found)
    assert f"How residuals go back from {HOSTILE[0]}" in found


def test_every_row_has_a_shape_and_a_colour():
    assert {row.case for row in tg.rows.values()} == set(PAINTS)
    x = leaf("x", 2, 2)
    out = tg.checkpoint(lambda x: tg.tanh(x))(tg.where(tg.tensor([True, False]), x, x.T) ** 2)
    dot = tg.draw(out, gains=True).dot
    for shown in ('label="out = tanh"', 'label="where"', 'label="ᵀ"', 'label="x²"', 'shape="hexagon"'):
        assert shown in dot


def test_summary_names_the_smallest_gain():
    drawn = tg.draw(exact_cases(), gains=True)
    assert (
        str(drawn)
        == "graph of 3 operations (1 composition, 1 addition, 1 weighting); smallest gain ×0.5 at ×"
    )
