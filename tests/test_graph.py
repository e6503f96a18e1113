"""Pictures: their text to the byte, what engines make of it, gains against hand-made ones, and users' text that tries to break out.

After a wanted change of the look, ``python tests/test_graph.py`` writes the golden files anew; look at them before they are committed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.errors import DrawError, TapeError
from tinygrad_rnn.graph import gains, picture, text
from tinygrad_rnn.graph.network import Network
from tinygrad_rnn.graph.ops_view import PAINTS
from tinygrad_rnn.tape import scope, unfolded

GOLDEN = Path(__file__).parent / "golden"
BATCH, INPUT, HIDDEN = 2, 3, 4
HOSTILE = [
    'a"b', "back\\slash", "\\N \\G \\L \\E \\T \\H", "a\\nb\\lc\\rd", "x<y>&amp;z", "<b>bold</b>", "权重 矩阵", "ünï¢ødé 🚀",
    "a;b}c]d", "--> {", "o'neil", "label\\", "\\\\", "\\\\N", "\\", "𝔘", "<", '"', '\\"', "&#92;N", "&lt;", "a  b", "%d%s", "$x$",
    "/*c*/ //d", "#e", "<!-- -->", "]]>", "&", "\\&#78;", "\\\\\\N", '\\"];evil[label="',
]  # fmt: skip


# -- cells written from primitives ----------------------------------------------------------------------------------------------------


def leaf(name, *shape, grad=True):
    """Halves and quarters, so that every product and sum below is exact."""
    values = (np.arange(np.prod(shape, dtype=int)) % 5 - 2) / 4
    return tg.tensor(values.reshape(shape), requires_grad=grad, name=name)


def named(tensor, name):
    tensor.name = name
    return tensor


def rnn_step(h=None, t="t", before="t−1", weights=None, f=tg.tanh):
    h = leaf(f"h[{before}]", BATCH, HIDDEN) if h is None else h
    W, U, b = weights or (leaf("W", INPUT, HIDDEN), leaf("U", HIDDEN, HIDDEN), leaf("b", HIDDEN))
    return named(f(leaf(f"x[{t}]", BATCH, INPUT, grad=False) @ W + h @ U + b), f"h[{t}]")


def lstm_step(peephole=False):
    x, h, c = leaf("x[t]", BATCH, INPUT, grad=False), leaf("h[t−1]", BATCH, HIDDEN), leaf("c[t−1]", BATCH, HIDDEN)
    a = x @ leaf("W", INPUT, 4 * HIDDEN) + h @ leaf("U", HIDDEN, 4 * HIDDEN) + leaf("b", 4 * HIDDEN)
    i, f, g, o = tg.split(a, 4, axis=-1)
    if peephole:
        i, f = i + leaf("p_i", HIDDEN) * c, f + leaf("p_f", HIDDEN) * c
    i, f, g = named(tg.sigmoid(i), "i"), named(tg.sigmoid(f), "f"), named(tg.tanh(g), "g")
    c = named(f * c + i * g, "c[t]")
    o = named(tg.sigmoid(o + leaf("p_o", HIDDEN) * c if peephole else o), "o")
    return named(o * tg.tanh(c), "h[t]"), c


def gru_step():
    x, h = leaf("x[t]", BATCH, INPUT, grad=False), leaf("h[t−1]", BATCH, HIDDEN)
    z, r = tg.split(x @ leaf("W", INPUT, 2 * HIDDEN) + h @ leaf("U", HIDDEN, 2 * HIDDEN), 2, axis=-1)
    z, r = named(tg.sigmoid(z), "z"), named(tg.sigmoid(r), "r")
    n = named(tg.tanh(x @ leaf("W_n", INPUT, HIDDEN) + r * (h @ leaf("U_n", HIDDEN, HIDDEN))), "n")
    return named((1 - z) * n + z * h, "h[t]")


def unrolled(steps=3, f=tg.relu):
    """An RNN with a loss at every step; with relu all its residuals are exact."""
    weights = leaf("W", INPUT, HIDDEN), leaf("U", HIDDEN, HIDDEN), leaf("b", HIDDEN)
    V, h, losses = leaf("V", HIDDEN, 1), leaf("h[0]", BATCH, HIDDEN), []
    for t in range(1, steps + 1):
        with scope("step", t):
            h = rnn_step(h, t, t - 1, weights, f)
            losses.append(named(tg.sum(h @ V), f"loss[{t}]"))
    return losses


def exact_cases():
    """All three cases with gains that can be done in the head: 0.5, 1, 2."""
    w, x, b = leaf("w"), leaf("x"), leaf("b")
    w.data, x.data, b.data = np.array(0.5), np.array(2.0), np.array(1.0)
    return named(tg.relu(w * x + b), "y")


GOLDENS = {
    "three_cases": lambda: tg.draw(exact_cases(), gains=True),
    "rnn": lambda: tg.draw(rnn_step()),
    "lstm": lambda: tg.draw(lstm_step(), title="LSTM step"),
    "lstm_order": lambda: tg.draw(lstm_step(), order=True),
    "peephole": lambda: tg.draw(lstm_step(peephole=True)),
    "gru": lambda: tg.draw(gru_step()),
    "unrolled_3": lambda: tg.draw(unrolled(f=tg.tanh)),
    "unrolled_3_gains": lambda: tg.draw(unrolled(), gains=True),
}


@pytest.mark.one_backend
@pytest.mark.parametrize("name", GOLDENS)
def test_golden_text(name):
    assert GOLDENS[name]().dot == (GOLDEN / f"{name}.dot").read_text(encoding="utf-8")


@pytest.mark.one_backend
def test_text_is_the_same_in_processes_with_other_hashes():
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_graph as t; print(t.GOLDENS['lstm']().dot)"
    told = set()
    for seed in "01":
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        told.add(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
    assert len(told) == 1


# -- the state path -------------------------------------------------------------------------------------------------------------------


def network(outputs):
    outputs = unfolded(outputs)
    return Network(tg.Tape.of(*outputs), outputs)


@pytest.mark.parametrize(
    ("build", "symbols"),
    [
        (rnn_step, ["@", "+", "+", "tanh"]),
        (lstm_step, ["×", "+"]),
        (lambda: lstm_step(peephole=True), ["×", "+"]),
        (gru_step, ["×", "+"]),
        (lambda: unrolled(2, tg.tanh)[-1], ["@", "+", "+", "tanh"] * 2),
    ],
    ids=["rnn", "lstm", "peephole", "gru", "unrolled"],
)
def test_state_path_is_found(build, symbols):
    out = build()
    found = network(out if isinstance(out, tuple) else [out])
    assert [found.tape[place].row.symbol for place in found.path] == symbols


def test_feed_forward_net_has_no_state_path():
    x = leaf("x", BATCH, HIDDEN)
    out = named(tg.tanh(x @ leaf("W", HIDDEN, HIDDEN) + leaf("b", HIDDEN)), "y")
    assert network([out]).path == []
    assert "cluster_path" not in tg.draw(out).dot


def test_layers_draw_their_steps():
    layer = tg.nn.RNN(INPUT, HIDDEN)
    y, _ = layer(leaf("x", 3, BATCH, INPUT, grad=False).astype("float32"))
    found = network([tg.sum(y)])
    assert [step.label for step in found.steps] == ["0", "1", "2"]
    assert len(found.path) >= 3


def test_each_layer_has_steps_of_its_own():
    y, _ = tg.nn.RNN(INPUT, HIDDEN, num_layers=2)(leaf("x", 2, BATCH, INPUT, grad=False).astype("float32"))
    found = network([tg.sum(y)])
    assert [step.label for step in found.steps] == ["0", "1", "0", "1"]
    assert {found.vertices[0].step, *(step.number for step in found.steps if set(step.places) & set(found.path))} == {1, 3, 4}


def test_a_single_step_is_drawn_as_a_cell():
    with scope("step", 0):
        out = rnn_step()
    assert tg.draw(out).dot == tg.draw(rnn_step()).dot


def test_parameter_is_copied_into_each_step_but_an_operation_with_several_results_is_one_node():
    found = network(unrolled(3))
    copies = [vertex.id for vertex in found.vertices if vertex.name == "U"]
    assert len(copies) == 3
    assert len({copy.split("_")[0] for copy in copies}) == 1
    assert tg.draw(lstm_step()).dot.count('label="split"') == 1


# -- gains ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("gain", "label"),
    [
        (0.0, "×0"), (1.0, "×1"), (1 + 1e-7, "×1"), (1 - 1e-7, "×1"), (0.9999, "≈×1"), (0.999, "×0.999"), (0.25, "×0.25"),
        (0.50012, "×0.5"), (150.0, "×150"), (999.7, "×1000"), (1234.0, "×1e3"), (0.01, "×0.01"), (0.0099, "×1e-2"),
        (3.2e-7, "×3e-7"), (1e-300, "×1e-300"), (float("inf"), "inf"), (float("nan"), "NaN"),
    ],
)  # fmt: skip
def test_gain_label(gain, label):
    assert gains.gain_label(gain) == label


@pytest.mark.one_backend
def test_only_equal_shapes_pass_unchanged():
    assert gains.gain_label(1.0, same_shape=False) == "≈×1"


@pytest.mark.one_backend
def test_stroke_thins_in_half_decades():
    strokes = [gains.stroke(10.0**d) for d in (0, -1, -2, -3, -9)]
    assert [round(s.width, 1) for s in strokes] == [5.0, 3.4, 1.8, 0.6, 0.6]
    assert [s.style for s in strokes] == ["solid", "solid", "solid", "dashed", "dashed"]
    assert gains.stroke(0.0).style == "dotted"
    assert gains.stroke(0.999) == gains.stroke(1.0) == gains.stroke(float("nan"))


@pytest.mark.parametrize(("values", "norm"), [([3e200, 4e200], 5e200), ([3e-200, 4e-200], 5e-200), ([], 0.0), ([0.0], 0.0)])
def test_size_neither_overflows_nor_vanishes(values, norm):
    x = tg.tensor(np.array(values))
    assert gains.size(x._backend, x._data) == pytest.approx(norm, rel=1e-15)


def measured(out, *of):
    """(operation, label) of every edge that carries a residual, in the order of the tape."""
    found = gains.Gains(of or [out])
    return [
        (e.row.name, found.parts[e.index, i].label) for e in tg.Tape.of(out) for i in range(len(e.inputs)) if (e.index, i) in found.parts
    ]


def test_gains_are_what_one_can_do_in_the_head():
    assert measured(exact_cases()) == [
        ("multiply", "×2"), ("multiply", "×0.5"), ("add", "×1"), ("add", "×1"), ("relu", "×1"),
    ]  # fmt: skip


def test_residuals_that_are_single_numbers_are_measured():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    assert measured(tg.sum(tg.exp(tg.sum(x) - 3.0)))[-1] == ("sum", "×1")


def test_both_sides_of_a_square_are_told_apart():
    x = tg.tensor(np.array([3.0]), requires_grad=True)
    assert measured(x * x) == [("multiply", "×3"), ("multiply", "×3")]


def test_additions_that_change_the_shape_say_a_verb():
    x, b = leaf("x", 3, 2), leaf("b", 2)
    assert measured(tg.sum(x + b)) == [("add", "×1"), ("add", "added up"), ("sum", "copied")]
    assert measured(tg.concatenate([x, x])) == [("concatenate", "part"), ("concatenate", "part")]
    assert measured(tg.sum(x[0])) == [("getitem", "×1"), ("sum", "copied")]
    assert measured(tg.where(tg.tensor([True, False]), x, x * 1.0))[1:] == [("where", "part"), ("where", "part")]
    assert measured(tg.cumsum(x, 0)) == [("cumsum", "added up")]


def test_no_addition_of_the_cells_prints_a_number_but_one():
    for out in (rnn_step(), lstm_step()[0], gru_step(), unrolled()[-1]):
        found = gains.Gains([out])
        entries = {entry.index: entry for entry in tg.Tape.of(out)}
        labels = {part.label for (index, _), part in found.parts.items() if entries[index].row.case == "addition"}
        assert labels <= {"×1", "×0", "copied", "added up", "part"}


def test_gains_multiply_to_the_residual_that_backward_brings():
    h = leaf("h[0]", BATCH, HIDDEN)
    loss = tg.sum(rnn_step(h))
    found = gains.Gains([loss])
    to_h = next(found.parts[e.index, i] for e in tg.Tape.of(loss) for i, x in enumerate(e.inputs) if x is h)
    loss.backward()
    assert to_h.size == pytest.approx(float(np.linalg.norm(h.grad.numpy())), rel=1e-12)


def test_a_parameter_of_one_step_only_is_no_copy():
    losses = unrolled()
    assert not [vertex for vertex in network(losses[:1]).vertices if vertex.copied]
    assert {vertex.name for vertex in network(losses).vertices if vertex.copied} == {"W", "U", "b", "V"}


def test_grad_is_untouched():
    losses = unrolled()
    leaves = [x for e in tg.Tape.of(*losses) for x in e.inputs if isinstance(x, tg.Tensor) and x.requires_grad]
    losses[0].backward()
    before = [(x.grad, None if x.grad is None else x.grad.numpy().copy()) for x in leaves]
    tg.draw(losses, gains=True)
    for x, (grad, values) in zip(leaves, before, strict=True):
        assert x.grad is grad
        assert grad is None or np.array_equal(grad.numpy(), values)


def test_the_last_loss_is_followed_unless_another_is_named():
    losses = unrolled()
    last, first = tg.draw(losses, gains=True), tg.draw(losses, gains=True, of=losses[0])
    assert last.dot == tg.draw(losses, gains=True, of=losses[-1]).dot != first.dot
    assert "t = 3   residual left: 1" in last.dot
    assert "residual left" not in first.dot  # nothing arrives at the last state
    with pytest.raises(DrawError, match="of="):
        tg.draw(losses, gains=True, of=tg.tensor(1.0))


def test_residuals_that_are_not_finite_are_marked():
    x = leaf("x", 2)
    with np.errstate(all="ignore"):
        out = tg.sum(tg.log(x * 0.0))
    dot = tg.draw(out, gains=True).dot
    assert 'label="inf"' in dot
    assert "#882255" in dot


# -- engines --------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(params=["dot", "graphviz-pure"])
def engine(request, monkeypatch):
    """Each engine that is installed."""
    found = shutil.which(request.param) or shutil.which(request.param, path=os.path.dirname(sys.executable))
    if found is None:
        pytest.skip(f"{request.param} is not installed")
    monkeypatch.setattr(picture, "_engine", lambda: found)
    return found


def texts(svg):
    """The labels of an SVG and its tooltips."""
    tree = ElementTree.fromstring(svg)
    labels = ["".join(t.itertext()) for t in tree.iter("{http://www.w3.org/2000/svg}text")]
    tooltips = [a.get("{http://www.w3.org/1999/xlink}title") for a in tree.iter("{http://www.w3.org/2000/svg}a")]
    return [[found.replace("\xa0", " ") for found in kind] for kind in (labels, tooltips)]


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["lstm", "unrolled_3_gains", "lstm_order"])
def test_svg_has_every_id_of_the_tape(engine, name):
    drawn = GOLDENS[name]()
    tree = ElementTree.fromstring(drawn.svg())
    groups = [g for g in tree.iter("{http://www.w3.org/2000/svg}g") if g.get("class", "").startswith(("node", "edge"))]
    wanted = re.findall(r'^ +(?:[nopk]\S+|\S+ -> \S+) \[id="([^"]+)"', drawn.dot, re.MULTILINE)
    assert sorted(g.get("id") for g in groups) == sorted(wanted)
    assert len(set(wanted)) == len(wanted)


@pytest.mark.one_backend
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


@pytest.mark.one_backend
def test_text_that_cannot_be_printed_or_is_long_is_replaced_or_cut(engine):
    out = leaf("a\nb\0c\u202ed\ud800e", 2) * leaf("w" * 100, 2) + leaf("", 2)
    labels, tooltips = texts(tg.draw(out).svg())
    assert "a\ufffdb\ufffdc\ufffdd\ufffde" in labels
    assert "w" * 27 + "…" in labels
    assert any("w" * 100 in tip for tip in tooltips)
    assert "(2,)" in labels  # an empty name is none
    assert text.shown_html("") == "&#160;"


@pytest.mark.one_backend
@pytest.mark.parametrize("kind", ["svg", "png", "dot", "SVG"])
def test_save(engine, kind, tmp_path):
    drawn = tg.draw(rnn_step())
    drawn.save(tmp_path / f"p.{kind}")
    starts = {"svg": b"<?xml", "png": b"\x89PNG", "dot": b"digraph"}
    assert (tmp_path / f"p.{kind}").read_bytes().startswith(starts[kind.lower()])
    assert [path.name for path in tmp_path.iterdir()] == [f"p.{kind}"]


@pytest.mark.one_backend
def test_pdf_is_written_or_refused_by_name(engine, tmp_path):
    drawn = tg.draw(rnn_step())
    if engine.endswith("graphviz-pure"):
        with pytest.raises(DrawError, match="graphviz-pure cannot write pdf"):
            drawn.save(tmp_path / "p.pdf")
        assert not list(tmp_path.iterdir())
    else:
        drawn.save(tmp_path / "p.pdf")
        assert (tmp_path / "p.pdf").read_bytes().startswith(b"%PDF")


@pytest.mark.one_backend
def test_notebook_gets_svg_that_can_be_inlined(engine):
    bundle = tg.draw(rnn_step())._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg")
    assert bundle["text/plain"] == "graph of 5 operations (1 composition, 2 addition, 2 weighting)"


# -- what can go wrong ----------------------------------------------------------------------------------------------------------------


@pytest.mark.one_backend
def test_without_an_engine_everything_but_images_works(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    drawn = tg.draw(rnn_step())
    with pytest.raises(DrawError, match=r"pip install graphviz-pure.*\.dot"):
        drawn.svg()
    drawn.save(tmp_path / "p.dot")
    assert "pip install graphviz-pure" in drawn._repr_mimebundle_()["text/plain"]


@pytest.mark.one_backend
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


@pytest.mark.one_backend
def test_broken_text_is_the_engines_error(engine):
    with pytest.raises(DrawError, match="cannot write svg"):
        picture.Picture("digraph {", "", scene=None).svg()


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
    with pytest.raises(DrawError, match="62 nodes are more than max_nodes=61"):
        tg.draw(y, max_nodes=61)
    tg.draw(y, max_nodes=62)
    with pytest.raises(DrawError, match="60 operations are more"):
        tg.draw(y, max_nodes=10)


@pytest.mark.one_backend
def test_every_row_has_a_shape_and_a_colour():
    assert {row.case for row in tg.rows.values()} == set(PAINTS)
    x = leaf("x", 2, 2)
    out = tg.checkpoint(lambda x: tg.tanh(x))(tg.where(tg.tensor([True, False]), x, x.T) ** 2)
    dot = tg.draw(out, gains=True).dot
    for shown in ('label="tanh"', 'label="where"', 'label="ᵀ"', 'label="x²"', 'shape="hexagon"'):
        assert shown in dot


def test_summary_names_the_smallest_gain():
    drawn = tg.draw(exact_cases(), gains=True)
    assert str(drawn) == "graph of 3 operations (1 composition, 1 addition, 1 weighting); smallest gain ×0.5 at ×"


if __name__ == "__main__":
    for golden, build in GOLDENS.items():
        (GOLDEN / f"{golden}.dot").write_text(build().dot, encoding="utf-8", newline="\n")
