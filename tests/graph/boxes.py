"""Pictures in a browser: whether their texts, nodes and arrow heads keep clear of each other.

A picture is right only where it is seen: with a browser's own letters, in whatever fonts there are.
"""

from __future__ import annotations

import numpy as np

import tinygrad_rnn as tg
from tests.graph.scenes import (
    BATCH,
    HIDDEN,
    INPUT,
    called,
    exact_cases,
    leaf,
    leaky_run,
    lstm_step,
    named,
    rnn_step,
    tagged,
    unrolled,
)

CELLS = [name for name in tg.nn.__all__ if name.endswith("Cell")]


def pictures():
    """What is drawn, by name. A new view, or a picture that went wrong, gets a line here."""
    cells = {name: tg.draw(called(getattr(tg.nn, name))) for name in CELLS}
    return cells | {
        "three cases": tg.draw(exact_cases(), gains=True),
        "LSTM by hand": tg.draw(lstm_step(), title="LSTM step"),
        "LSTM with gains": tg.draw(lstm_step(), gains=True),
        "peephole LSTM with gains": tg.draw(lstm_step(peephole=True), gains=True),
        "layer norm with gains": tg.draw(called(tg.nn.LayerNormLSTMCell), gains=True),
        "order and values": tg.draw(lstm_step(), order=True, values=True),
        "matrix state": tg.draw(matrix_state(), gains=True),
        "one unit": tg.draw(one_unit(), gains=True),
        "names of 40 letters": tg.draw(with_names(lambda name: (name * 40)[:40]), gains=True),
        "Chinese names": tg.draw(with_names(lambda name: f"权重矩阵{name}"), gains=True),
        "NaN": tg.draw(with_nan(), gains=True),
        "attention, modules": tg.draw(attentive(), view="cells"),
        "attention, modules without gains": tg.draw(attentive(), view="cells", gains=False),
        "100 steps": tg.draw(leaky_run(), view="steps"),
        "two layers of 20 steps": tg.draw(tagged(20, num_layers=2, bidirectional=True), view="steps"),
        "3 steps with gains": tg.draw(unrolled(), gains=True),
    }


def matrix_state():
    """Fast weights: a state of one matrix for each sample."""
    S, k, v, q = (leaf(name, BATCH, *shape) for name, *shape in
                  [("S[t−1]", HIDDEN, INPUT), ("k", 1, INPUT), ("v", HIDDEN, 1), ("q", INPUT, 1)])  # fmt: skip
    f = tg.sigmoid(leaf("f", 1))
    S = named(f * S + v * k, "S[t]")
    return named(tg.tanh(S @ q), "y[t]"), S


def one_unit():
    x, h, w, u, b = (leaf(name, 1) for name in ("x", "h[t−1]", "w", "u", "b"))
    return named(tg.tanh(w * x + u * h + b), "h[t]")


def with_names(name):
    h, weights = leaf(name("h"), BATCH, HIDDEN), (leaf(name("W"), INPUT, HIDDEN), leaf(name("U"), HIDDEN, HIDDEN),
                                                  leaf(name("b"), HIDDEN))  # fmt: skip
    return named(rnn_step(h, name("t"), weights=weights), name("y"))


def with_nan():
    x = leaf("x", HIDDEN)
    x.data = np.array([0.5, np.nan, 1.0, 2.0])
    return named(tg.sum(tg.tanh(x) * leaf("w", HIDDEN) + tg.log(leaf("zero", HIDDEN) * 0.0)), "loss")


class Attentive(tg.nn.Module):
    """Two layers in both directions, and attention over their steps."""

    def __init__(self):
        self.embed = tg.nn.Embedding(5, INPUT)
        self.rnn = tg.nn.LSTM(INPUT, HIDDEN, num_layers=2, bidirectional=True)
        self.score = tg.nn.Linear(2 * HIDDEN, 1)
        self.readout = tg.nn.Linear(2 * HIDDEN, 2)

    def __call__(self, x):
        y, _ = self.rnn(self.embed(x))
        return self.readout(tg.sum(tg.softmax(self.score(tg.tanh(y)), axis=0) * y, axis=0))


def attentive(steps=4):
    return named(tg.sum(Attentive()(tg.tensor(np.arange(2 * steps).reshape(steps, 2) % 5))), "loss")


# -- in a browser --------------------------------------------------------------------------------------------


def page(svgs):
    """One page of many pictures, each under its name."""
    return "<!doctype html><meta charset=utf-8><body>" + "".join(
        f'<div data-name="{name}">{svg[svg.index("<svg") :]}</div>' for name, svg in svgs.items()
    )


FAULTS = """
const faults = [], GAP = .3;
const meet = (a, b) => a.x < b.x + b.width - GAP && b.x < a.x + a.width - GAP
  && a.y < b.y + b.height - GAP && b.y < a.y + a.height - GAP;
const grid = (r, n, m) => Array.from({length: n * m}, (_, i) => [
  r.x + GAP + (r.width - 2 * GAP) * (i % n) / (n - 1), r.y + GAP + (r.height - 2 * GAP) * Math.floor(i / n) / (m - 1)]);
const outlined = triangle => {  // with its line, which is wide
  const style = getComputedStyle(triangle), wide = style.stroke === 'none' ? 0 : parseFloat(style.strokeWidth) / 2;
  const corners = [...triangle.points].slice(0, 3).map(c => [c.x, c.y]);
  const sides = [0, 1, 2].map(i => { const [a, b] = [corners[(i + 1) % 3], corners[(i + 2) % 3]];
    return Math.hypot(a[0] - b[0], a[1] - b[1]); });
  const around = sides[0] + sides[1] + sides[2], [a, b, c] = corners;
  const radius = Math.abs((b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])) / around;
  const centre = [0, 1].map(k => corners.reduce((sum, p, i) => sum + p[k] * sides[i] / around, 0));
  return corners.map(p => p.map((v, k) => centre[k] + (v - centre[k]) * (radius + wide) / radius));
};
for (const svg of document.querySelectorAll('svg')) {
  const name = svg.parentNode.dataset.name, frame = svg.getBoundingClientRect();
  const fault = (...what) => faults.push([name, ...what].join(' | '));
  const point = (shape, [x, y]) => { const p = svg.createSVGPoint(); p.x = x; p.y = y; return shape.isPointInFill(p); };
  const texts = [...svg.querySelectorAll('text')].filter(t => t.textContent.trim()).map(t => {
    const r = t.getBBox();  // of a line, with room above its capitals
    return {x: r.x, y: r.y + r.height * .17, width: r.width, height: r.height * .8, said: t.textContent,
      text: t, node: t.closest('g.node'), edge: t.closest('g.edge')};
  });
  const nodes = [...svg.querySelectorAll('g.node')].map(g => {
    const shapes = [...g.querySelectorAll('polygon, ellipse, path')].filter(s => s.closest('g.node') === g);
    const [x, y, right, bottom] = shapes.map(s => s.getBBox()).reduce(([x, y, right, bottom], r) =>
      [Math.min(x, r.x), Math.min(y, r.y), Math.max(right, r.x + r.width), Math.max(bottom, r.y + r.height)],
      [1e9, 1e9, -1e9, -1e9]);
    return {g, shapes, x, y, width: right - x, height: bottom - y, said: (g.querySelector('text') || g).textContent,
      holds: p => shapes.some(s => point(s, p))};
  }).filter(n => n.shapes.length);
  const heads = [...svg.querySelectorAll('g.edge > polygon')].map(p => {
    const corners = outlined(p), [xs, ys] = [0, 1].map(i => corners.map(c => c[i]));
    const r = {x: Math.min(...xs), y: Math.min(...ys)};
    Object.assign(r, {width: Math.max(...xs) - r.x, height: Math.max(...ys) - r.y});
    const inside = corners.flatMap(([x, y], i) => { const [u, v] = corners[(i + 1) % corners.length];
      return [.1, .5, .9].map(s => [x + s * (u - x), y + s * (v - y)]); });
    return {x: r.x, y: r.y, width: r.width, height: r.height, inside: [...corners, ...inside], said: p.parentNode.id,
      edge: p.parentNode, shape: p};
  });
  texts.forEach((t, i) => {
    const seen = t.text.getBoundingClientRect();
    if (seen.x < frame.x || seen.y < frame.y || seen.right > frame.right || seen.bottom > frame.bottom)
      fault('text leaves the picture', t.said);
    for (const other of texts.slice(i + 1)) if (meet(t, other)) fault('text on text', t.said, other.said);
    for (const n of nodes) {
      const own = t.node === n.g;
      if (own && n.shapes.length && !grid(t, 2, 2).every(n.holds)) fault('text leaves its node', t.said);
      if (!own && meet(t, n) && grid(t, 9, 3).some(n.holds)) fault('text on a node', t.said, n.said);
    }
    for (const h of heads) if (meet(t, h) && h.inside.some(([x, y]) => x > t.x + GAP && x < t.x + t.width - GAP
      && y > t.y + GAP && y < t.y + t.height - GAP)) fault('head on text', h.said, t.said);
  });
  nodes.forEach((n, i) => {
    for (const h of heads) if (meet(n, h) && h.inside.some(n.holds)) fault('head in a node', h.said, n.said);
    for (const other of nodes.slice(i + 1)) if (meet(n, other) && grid(n, 12, 12).some(p => n.holds(p)
      && other.holds(p))) fault('node on node', n.said, other.said);
  });
  heads.forEach((h, i) => {
    for (const other of heads.slice(i + 1)) if (meet(h, other) && h.inside.some(p => point(other.shape, p)))
      fault('head on head', h.said, other.said);
  });
}
return faults;
"""
"""Pairs that intersect, by sampled points where a shape is no rectangle. A text may lie in its own node."""


def faults(driver, file, svgs):
    """What is wrong, a line for each, with these pictures opened from a file."""
    file.write_text(page(svgs), encoding="utf-8")
    driver.get(file.as_uri())
    return driver.execute_script(FAULTS)
