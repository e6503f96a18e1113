"""Steps on the page of a picture: a closed one is small, and what follows it comes nearer."""

from __future__ import annotations

import dataclasses
import itertools

import pytest

import tinygrad_rnn as tg
from tests.graph.browser import lstm_layer
from tests.graph.scenes import BATCH, HIDDEN, INPUT, leaf, named, tagged, unrolled
from tinygrad_rnn.graph.finish import finished
from tinygrad_rnn.graph.layout import placed, svg_of
from tinygrad_rnn.tape import scope

STANDING = """
const rect = e => (r => [r.left, r.top, r.right, r.bottom])(e.getBoundingClientRect());
const all = [...document.querySelectorAll("svg:not([hidden]) :is(g.node, .cover > rect)")];
const shown = all.filter(e => e.getClientRects().length);
const open = [...document.querySelectorAll("g.cluster[id]:not(.shut) > :first-child")];
return {
  boxes: shown.map(e => [e.id || e.closest("g.cluster").id, rect(e)]),
  frames: open.map(e => [e.parentNode.id, rect(e)]),
};
"""
"""Boxes and closed steps, and the frames of open ones, by id: left, top, right, bottom."""

ENDS = """
return JSON.parse(document.querySelector("#data").textContent)[0].arrows.flatMap(arrow => {
  const [id, source, target, , , , signs] = arrow, [begins, stops] = signs;
  const paths = [...document.querySelectorAll(`[id="${id}"] path`)];
  const parts = begins && stops ? [[source, stops], [begins, target]] : [[begins || source, stops || target]];
  const seen = (shape, point) => (({ x, y }) => [x, y])(point.matrixTransform(shape.getScreenCTM()));
  const tips = [...document.querySelectorAll(`[id="${id}"] polygon`)].flatMap(
    head => [...head.points].map(corner => seen(head, corner)));
  return paths.map((path, i) => [path, ...parts[i]]).filter(([path]) => path.checkVisibility()).map(
    ([path, from, to]) => {
      const at = length => seen(path, path.getPointAtLength(length));
      const begins = path !== paths[0] || !tips.length ? [at(0)] : tips;
      return [id, from, to, [begins, at(path.getTotalLength())]];
    });
});
"""
"""Arrows that are shown, those that are cut off in both of their parts: from and to what they lead, signs
included, where they begin, which is at one of the corners of a head, and where they end."""


CLICK = """
const sign = document.querySelector(`[id="${arguments[0]}"] .handle`);
sign.dispatchEvent(new MouseEvent("click", { bubbles: true }));
"""
"""A click on a step's sign."""


def overlap(a, b):
    return a[0] < b[2] - 1 and b[0] < a[2] - 1 and a[1] < b[3] - 1 and b[1] < a[3] - 1


def far(point, box):
    return max(box[0] - point[0], point[0] - box[2], box[1] - point[1], point[1] - box[3], 0)


def check_layout(reader):
    """Nothing lies over something else, boxes stand in their frames, and arrows end at what they join."""
    standing = reader.driver.execute_script(STANDING)
    boxes, frames = dict(standing["boxes"]), dict(standing["frames"])
    data = reader.js("JSON.parse(document.querySelector('#data').textContent)[0]")
    group = {box["id"]: box["group"] for box in data["boxes"]}
    for _, source, target, *_, signs in data["arrows"]:
        group |= {sign: group[end] for sign, end in zip(signs, (target, source), strict=False) if sign}
    closed = boxes.keys() - group.keys()
    for one, other in itertools.combinations([*boxes.items()], 2):
        assert not overlap(one[1], other[1]), f"{one[0]} lies over {other[0]}"
    for one, other in itertools.combinations([*frames.items()], 2):
        assert not overlap(one[1], other[1]), f"{one[0]} lies over {other[0]}"
    for box, frame in itertools.product(boxes, frames):
        assert overlap(boxes[box], frames[frame]) == (group.get(box) == frame), f"{box} and {frame}"
    arrows = reader.driver.execute_script(ENDS)
    scale = reader.js("document.querySelector('svg:not([hidden])').getScreenCTM().a")
    for id, source, target, (begins, end) in arrows:
        stand = [group[box] if group[box] in closed else box for box in (source, target)]
        assert min(far(start, boxes[stand[0]]) for start in begins) < 9 * scale, f"{id} begins off {stand[0]}"
        assert far(end, boxes[stand[1]]) < 9 * scale, f"{id} ends off {stand[1]}"
    return boxes, frames


def middle(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def test_a_closed_step_is_small_and_the_others_come_nearer(reader, layouts):
    reader.open(tg.draw(unrolled(4), gains=True))
    drawn = "document.querySelector('#picture > svg > g').outerHTML"
    whole, before = reader.js(drawn), check_layout(reader)[1]
    wide = before["t1"][2] - before["t1"][0]
    assert before["t1"][1] < before["t2"][1] < before["t3"][1] < before["t4"][1]  # a row each
    inside = reader.box("h[2] = relu")
    reader.click(reader.find("#t2 text"))
    assert not inside.is_displayed()
    assert reader.box("h[3] = relu").is_displayed()
    assert reader.find("#t2").get_attribute("aria-expanded") == "false"
    cover = reader.find("#t2 .cover")
    assert cover.text.startswith("t = 2residual left: ") or cover.text.startswith("t = 2\nresidual left: ")
    assert "13 boxes" in cover.text
    assert check_layout(reader)[0]["t2"][2] - check_layout(reader)[0]["t2"][0] < 0.3 * wide
    reader.click(reader.find("#t3 text"))
    boxes, frames = check_layout(reader)
    assert frames["t1"][1] < middle(boxes["t2"])[1] < frames["t1"][3]
    assert middle(boxes["t3"])[1] == pytest.approx(middle(boxes["t2"])[1], abs=1)  # it has come up
    assert frames["t4"][0] == pytest.approx(frames["t1"][0], abs=1)  # there is no room for it there
    assert reader.js(drawn) != whole
    for name in ("t2", "t3"):
        reader.click(reader.find(f"#{name} .cover"))
    assert inside.is_displayed()
    check_layout(reader)
    assert shapes(reader, reader.js(drawn)) == shapes(reader, whole)


def shapes(reader, markup):
    """All that is drawn, without the marks of groups."""
    program = """(text => {
      const drawn = new DOMParser().parseFromString(text, "text/html");
      return [...drawn.querySelectorAll("g > :not(g)")].map(shape => shape.outerHTML);
    })(arguments[0])"""
    return reader.js(program, markup)


class Nested(tg.nn.Module):
    """A recurrent layer over what another one makes of parts."""

    def __init__(self):
        self.inner, self.outer = (tg.nn.RNN(size, HIDDEN, dtype="float64") for size in (INPUT, HIDDEN))

    def __call__(self, parts):
        return self.outer(tg.stack([self.inner(part)[0][-1] for part in parts]))[0]


def both_ways(steps=3):
    layer = tg.nn.LSTM(INPUT, HIDDEN, bidirectional=True, dtype="float64")
    return tg.sum(layer(leaf("x", steps, BATCH, INPUT, grad=False))[0])


def uneven():
    """Steps of one, two and three operations that differ."""
    h = leaf("h[0]", BATCH, HIDDEN)
    for t in range(1, 7):
        with scope("step", t):
            for f in (tg.tanh, tg.sigmoid, tg.relu)[: 1 + t % 3]:
                h = f(h @ leaf(f"U{t}", HIDDEN, HIDDEN))
    return named(tg.sum(h), "loss")


def nested():
    parts = [leaf(f"part {i}", 2, BATCH, INPUT, grad=False) for i in range(3)]
    return named(tg.sum(Nested()(parts)), "loss")


BUILDS = {
    "6 steps of an LSTM": lambda: lstm_layer(6),
    "20 steps": lambda: unrolled(20),
    "two layers": lambda: tagged(4, num_layers=2),
    "both directions": both_ways,
    "uneven steps": uneven,
    "steps in steps": nested,
}


@pytest.mark.parametrize("build", BUILDS.values(), ids=BUILDS)
def test_any_steps_may_be_closed_together(reader, build):
    drawn = tg.draw(build(), gains=True, view="ops", max_nodes=1000)
    reader.open(drawn)
    check_layout(reader)
    names = reader.js("[...document.querySelectorAll('g.cluster[aria-expanded]')].map(g => g.id)")
    for closed in (names[:1], names[-1:], names[1:-1]):
        for name in closed:
            reader.driver.execute_script(CLICK, name)
        check_layout(reader)
    assert reader.find("#fold").get_attribute("aria-pressed") == "true"
    boxes, frames = check_layout(reader)
    assert not frames
    places = [(round(middle(boxes[name])[1]), boxes[name][0]) for name in names]
    assert places == sorted(places)  # in rows, one after the other
    reader.click(reader.find("#fold"))
    assert reader.labels(".cover, g.hidden") == []
    check_layout(reader)
    reader.click(reader.find("#fold"))
    assert len(reader.labels(".cover")) == len(names)
    check_layout(reader)


OFF = """
const drawn = arguments[0], off = [];
for (const id in drawn) {
  const there = document.createElementNS("http://www.w3.org/2000/svg", "path");
  there.setAttribute("d", drawn[id]);
  const here = document.querySelector(`[id="${id}"] path`);
  const ground = here.ownerSVGElement.querySelector("g.graph").getCTM();
  const moved = ground.inverse().multiply(here.getCTM());
  for (const part of [0, .1, .2, .3, .4, .5, .6, .7, .8, .9, 1]) {
    const [a, b] = [here, there].map(path => path.getPointAtLength(part * path.getTotalLength()));
    const at = a.matrixTransform(moved);
    off.push(Math.hypot(at.x - b.x, at.y - b.y));
  }
}
return off;
"""
"""How far lines are from given ones, in points: at eleven places of each."""


@pytest.mark.parametrize(("width", "height"), [(2400, 500), (1400, 900)])
def test_rows_run_as_those_of_a_file(reader, width, height):
    """The page breaks rows by itself: where it breaks them as a file of some width does, all is the same."""
    scene = tg.draw(tagged(4, num_layers=2), gains=True, view="ops", max_nodes=1000)._scene
    reader.open(
        tg.draw(tagged(4, num_layers=2), gains=True, view="ops", max_nodes=1000), width=width, height=height
    )
    tops = reader.js(
        "[...document.querySelectorAll('g.cluster[id]')].map(g => g.getBoundingClientRect().top)"
    )
    rows = [round(top) for top in tops]
    for wide in range(400, 6000, 20):
        there = placed(scene, wide)
        if rows_of(there.frames[group.id].top for group in scene.groups) == rows_of(rows):
            break
    else:
        pytest.fail("no file has these rows")
    drawing = finished(svg_of(dataclasses.replace(scene, placed=there)), scene)
    lines = {
        g.get("id"): g.find("path").get("d") for g in drawing.iter("g") if "edge" in g.get("class").split()
    }
    assert len(lines) > 100
    assert max(reader.driver.execute_script(OFF, lines)) < 6  # a head at the end of a row may bend elsewhere


def rows_of(tops):
    """Of each step, which row it is in."""
    tops = list(tops)
    return [sorted(set(tops)).index(top) for top in tops]


def test_steps_close_by_keys_and_not_by_a_click_beside_their_boxes(reader):
    reader.open(tg.draw(unrolled(), gains=True))
    left, top, width, _ = reader.place("#t2 > :first-child")
    reader.drag(round(left + width / 2), round(top + 12), 0, 0)
    assert reader.labels(".cover") == []
    reader.driver.execute_script("document.querySelector('#t2').focus()")
    reader.press("ENTER")
    assert not reader.box("h[2] = relu").is_displayed()
    reader.press("TAB", "TAB", "END", "ARROW_LEFT")
    assert reader.js("document.activeElement.checkVisibility()")  # what is closed is passed over
    reader.driver.execute_script("document.querySelector('#t2').focus()")
    reader.press(" ")
    assert reader.box("h[2] = relu").is_displayed()
