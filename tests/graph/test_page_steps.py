"""Steps on the page of a picture: a closed one is small, and what follows it comes nearer."""

from __future__ import annotations

import itertools

import pytest

import tinygrad_rnn as tg
from tests.graph.browser import lstm_layer
from tests.graph.scenes import BATCH, HIDDEN, INPUT, leaf, unrolled

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
  const [id, source, target, , , , sign] = arrow;
  const path = document.querySelector(`[id="${id}"] path`), matrix = path.getScreenCTM();
  if (!path.getClientRects().length) return [];
  const at = length => (({ x, y }) => [x, y])(path.getPointAtLength(length).matrixTransform(matrix));
  const ends = [at(0), at(path.getTotalLength())];
  const far = document.getElementById(sign) ? sign : target;
  return [[id, source, far, path.parentNode.classList.contains("rev") ? ends.reverse() : ends]];
});
"""
"""Arrows that are shown, with the places of their ends at the source and at the target, or at its sign."""


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
    group |= {sign: group[source] for _, source, *_, sign in data["arrows"] if sign in boxes}
    closed = boxes.keys() - group.keys()
    for one, other in itertools.combinations([*boxes.items()], 2):
        assert not overlap(one[1], other[1]), f"{one[0]} lies over {other[0]}"
    for one, other in itertools.combinations([*frames.items()], 2):
        assert not overlap(one[1], other[1]), f"{one[0]} lies over {other[0]}"
    for box, frame in itertools.product(boxes, frames):
        assert overlap(boxes[box], frames[frame]) == (group.get(box) == frame), f"{box} and {frame}"
    arrows = reader.driver.execute_script(ENDS)
    scale = reader.js("document.querySelector('svg:not([hidden])').getScreenCTM().a")
    for id, source, target, (start, end) in arrows:
        stand = [group[box] if group[box] in closed else box for box in (source, target)]
        assert far(start, boxes[stand[0]]) < 16 * scale, f"{id} begins off {stand[0]}"  # there is its head
        assert far(end, boxes[stand[1]]) < 16 * scale, f"{id} ends off {stand[1]}"
    return boxes, frames


def middle(box):
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def test_a_closed_step_is_small_and_the_others_come_nearer(reader, layouts):
    reader.open(tg.draw(unrolled(4), gains=True))
    drawn = "document.querySelector('#picture > svg > g').outerHTML"
    whole, before = reader.js(drawn), check_layout(reader)[1]
    inside = reader.box("h[2] = relu")
    reader.click(reader.find("#t2 text"))
    assert not inside.is_displayed()
    assert reader.box("h[3] = relu").is_displayed()
    assert reader.find("#t2").get_attribute("aria-expanded") == "false"
    cover = reader.find("#t2 .cover")
    assert cover.text.startswith("t = 2residual left: ") or cover.text.startswith("t = 2\nresidual left: ")
    assert "13 boxes" in cover.text
    boxes, frames = check_layout(reader)
    # it fills the window again
    scale = (frames["t1"][2] - frames["t1"][0]) / (before["t1"][2] - before["t1"][0])
    assert scale > 1.15
    assert boxes["t2"][2] - boxes["t2"][0] < 0.5 * scale * (before["t2"][2] - before["t2"][0])
    apart = frames["t3"][0] - frames["t1"][2], before["t3"][0] - before["t1"][2]
    assert apart[0] < 0.6 * scale * apart[1]
    assert reader.js(drawn) != whole
    reader.click(cover)
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


@pytest.mark.parametrize("build", [lambda: unrolled(4), lambda: lstm_layer(7)])
def test_any_steps_may_be_closed_together(reader, layouts, build):
    reader.open(tg.draw(build(), gains=True, max_nodes=1000))
    names = reader.js("[...document.querySelectorAll('g.cluster[aria-expanded]')].map(g => g.id)")
    for closed in (names[:1], names[-1:], names[1:-1]):
        for name in closed:
            reader.driver.execute_script(CLICK, name)
        check_layout(reader)
    assert reader.find("#fold").get_attribute("aria-pressed") == "true"
    boxes, frames = check_layout(reader)
    assert not frames
    heights = [middle(boxes[name])[1] for name in names]
    assert max(heights) - min(heights) < 2  # all on one line
    reader.click(reader.find("#fold"))
    assert reader.labels(".cover, g.hidden") == []
    check_layout(reader)
    reader.click(reader.find("#fold"))
    assert len(reader.labels(".cover")) == len(names)


def test_in_rows_that_reach_into_each_other_nothing_lies_over_anything(reader, layouts):
    both_ways = tg.nn.LSTM(INPUT, HIDDEN, bidirectional=True, dtype="float64")
    y, _ = both_ways(leaf("x", 3, BATCH, INPUT, grad=False))
    reader.open(tg.draw(tg.sum(y), gains=True, max_nodes=1000))
    for name in ("t2", "t3"):
        reader.driver.execute_script(CLICK, name)
    assert len(reader.labels(".cover")) == 2
    check_layout(reader)
    reader.click(reader.find("#fold"))
    assert len(reader.labels(".cover")) == 6
    check_layout(reader)


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
