"""Steps and modules on the page of a picture, and what is inside of them."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.browser import BREAKING_OUT, lstm_layer, pictures_of
from tests.graph.scenes import BATCH, HIDDEN, HOSTILE, INPUT, exact_cases, leaf, named
from tinygrad_rnn.tape import scope


def halving(steps=40):
    h = leaf("h", 2)
    for t in range(steps):
        with scope("step", t):
            h = named(h * 0.5 + leaf(f"x{t}", 2), "h")
    return named(tg.sum(h), "loss")


def test_steps_that_are_not_shown_are_on_the_slider_too(reader, layouts):
    reader.open(tg.draw(halving(), view="steps"))
    output, time = reader.find("#clock output"), reader.find("#time")
    assert time.get_attribute("max") == "41"  # and the state before the first
    reader.driver.execute_script("arguments[0].focus()", time)
    reader.press("END")
    assert output.text == "t = 39: residual left h 1"
    for _ in range(20):
        reader.press("ARROW_LEFT")
    left = re.fullmatch(r"t = 19: residual left h (\S+)", output.text)
    assert float(left[1]) == float(f"{0.5**20:.0e}")
    (lit,) = reader.labels("g.node:not(.dim)")
    assert "steps …" in lit
    reader.point(reader.driver.find_elements("css selector", "g.node")[0])
    assert reader.facts() == {"step": "start", "residual left at h": f"{0.5**40:.6g}"}


def test_modules_tell_what_they_are(reader, layouts):
    reader.open(tg.draw(lstm_layer(), view="cells"))
    module = next(g for g in reader.driver.find_elements("css selector", "g.node") if "LSTM" in g.text)
    reader.click(module)
    assert {"module", "count of operations", "learns", "residual"} <= reader.facts().keys()
    assert "Way to the loss" in reader.told()
    assert "All ways to loss" in reader.told()
    assert not reader.find("#clock").is_displayed()


def modules(steps=3):
    """Two layers and a readout; nothing of the readout happens step by step."""
    return tg.draw(named(tg.sum(Stacked()(leaf("x", steps, BATCH, INPUT, grad=False))), "loss"), view="cells")


class Stacked(tg.nn.Module):
    def __init__(self):
        self.rnn = tg.nn.LSTM(INPUT, HIDDEN, num_layers=2, dtype="float64")
        self.readout = tg.nn.Linear(HIDDEN, 2, dtype="float64")

    def __call__(self, x):
        return self.readout(self.rnn(x)[0][-1])


OVERVIEW, LAYER, READOUT = (
    "How residuals go back from loss",
    "layer 2: LSTMCell, 3 steps: t = 2",
    "readout: Linear",
)


def test_a_module_opens_by_its_sign_and_by_a_second_click(reader, layouts):
    reader.open(modules())
    title = reader.find("h1")
    assert "A box with a plus sign shows its operations" in reader.find("#hint").text
    assert not reader.find("#back").is_displayed()
    signed = reader.labels("g.node:has(.handle)")
    # the sum is one operation
    assert [label.partition(":")[0] for label in signed] == ["layer 1", "layer 2", "readout"]
    reader.click(reader.find("#m1 .handle"))
    assert title.text == LAYER
    assert not reader.find("#m1").is_displayed()
    assert reader.box("h[t]").is_displayed()
    assert len(reader.labels("#legend li")) == 3
    assert "cell-state channel" in reader.js(
        "document.querySelector('#picture > svg:not([hidden])').textContent"
    )
    reader.click(reader.find("#back"))
    assert title.text == OVERVIEW
    assert reader.labels("#legend li") == []
    assert reader.find("#m1").is_displayed()
    readout = reader.find("#m3")
    reader.click(readout)
    assert title.text == OVERVIEW
    assert "Click it once more" in reader.told()
    reader.click(readout)
    assert title.text == READOUT
    assert "all of its operations" in reader.find("#hint").text
    reader.press("ESCAPE")
    assert title.text == OVERVIEW
    assert reader.labels("g.pinned, g.dim, g.strong") == []
    loss = reader.find("g.node:not(:has(.handle))")
    reader.click(loss)
    reader.click(loss)
    assert (title.text, reader.labels("g.pinned")) == (OVERVIEW, [])


def test_inside_of_a_module_everything_works_as_outside(reader, layouts):
    reader.open(modules())
    reader.click(reader.find("#m1 .handle"))
    inside = "svg:not([hidden]) "
    reader.click(reader.box("f = σ"))
    assert reader.facts()["operation"] == "sigmoid"
    assert "dx = dy · y · (1 − y)" in reader.told()
    assert "Way to the loss, inside of the box" in reader.told()
    assert "All ways to h[t]: 5 boxes." in reader.told()
    assert reader.labels(inside + "g.node.strong") == sorted(["f = σ", "×", "+", "tanh", "×", "h[t]"])
    assert reader.style(inside + "g.node.dim", "opacity") == "0.16"
    reader.press("ESCAPE")  # ends the pin first
    assert reader.find("h1").text == LAYER
    assert reader.labels("g.dim") == []
    gain = reader.find(inside + "g.edge text")
    assert gain.is_displayed()
    reader.click(reader.find("[value=forward]"))
    assert not gain.is_displayed()
    assert reader.style(inside + "g.edge.case1 path", "markerEnd") == 'url("#tip")'
    reader.press("ESCAPE")
    # what was chosen holds for all of them
    assert reader.style("#em1-m2 path", "stroke") == "rgb(138, 138, 138)"


def test_what_is_inside_of_a_box_may_have_boxes_that_open(reader, layouts):
    drawn = modules()
    scene = drawn._scene
    readout = scene.inside["m3"]
    sum_box = readout.boxes[0].id
    nested = dataclasses.replace(readout, inside={sum_box: tg.draw(exact_cases())._scene})
    drawn._scene = dataclasses.replace(scene, inside={**scene.inside, "m3": nested})
    reader.open(drawn)
    reader.click(reader.find("#m3 .handle"))
    reader.click(reader.find(f"[id='m3-{sum_box}'] .handle"))
    assert reader.find("h1").text == "How residuals go back from y"
    assert reader.find("#back").text == "back"
    reader.click(reader.box("×"))
    assert reader.facts()["operation"] == "multiply"
    reader.press("ESCAPE", "ESCAPE")
    assert reader.find("h1").text == READOUT
    assert reader.focused() == f"m3-{sum_box}"
    assert reader.find("#back").text == "back to the whole"
    reader.press("ESCAPE")
    assert reader.find("h1").text == OVERVIEW


def test_residuals_inside_are_those_that_a_straight_computation_sends_there(reader, layouts):
    model = Stacked()
    x = leaf("x", 3, BATCH, INPUT, grad=False)
    reader.open(tg.draw(named(tg.sum(model(x)), "loss"), view="cells"))
    reader.click(reader.find("#m3 .handle"))
    reader.point(reader.box("@"))
    facts = reader.facts()
    assert float(facts["residual"]) == pytest.approx(np.sqrt(BATCH * 2), rel=1e-5)  # the sum sends ones
    hidden, ones = model.rnn(x)[0][-1].numpy(), np.ones((BATCH, 2))
    sent = [np.linalg.norm(ones @ model.readout.weight.numpy()), np.linalg.norm(hidden.T @ ones)]
    told = [
        float(re.search(r"residual (\S+)\)", text)[1])
        for name, text in facts.items()
        if name.startswith("gain to")
    ]
    assert told == pytest.approx(sent, rel=1e-5)


def test_a_module_opens_and_closes_by_keyboard_alone(reader, layouts):
    reader.open(modules())
    while not reader.js("document.activeElement.matches('g.node')"):
        reader.press("TAB")
    while reader.focused() != "m1":
        reader.press("ARROW_RIGHT")
    assert reader.find("#m1").get_attribute("aria-label").endswith("can be opened")
    reader.press("ENTER")
    assert reader.find("h1").text == OVERVIEW
    reader.press("ENTER")
    assert reader.find("h1").text == LAYER
    first = data_of_inside(reader, "m1")["boxes"][0]["id"]
    assert reader.focused() == first
    reader.press("ARROW_RIGHT", "ENTER")
    assert "Way to the loss" in reader.told()
    assert reader.js("document.activeElement.checkVisibility()")
    reader.press("ESCAPE", "ESCAPE")
    assert reader.find("h1").text == OVERVIEW
    assert reader.focused() == "m1"


def data_of_inside(reader, of):
    return next(data for data in pictures_of(reader.file.read_text(encoding="utf-8")) if data["of"] == of)


def test_inside_of_a_module_text_is_readable_in_the_dark(reader, layouts):
    reader.open(modules(), dark=True, width=2200)
    signs = reader.driver.find_elements("css selector", ".handle")
    assert min(reader.contrast(*signs)) >= 4.5
    reader.click(signs[1])
    reader.point(reader.find("h1"))  # and at no box that came under the pointer
    texts = [reader.box(label).find_element("css selector", "text") for label in ("split", "f = σ", "h[t]")]
    assert (
        min(reader.contrast(*texts, reader.find("#back"), reader.find("#legend li"), reader.find(".note")))
        >= 4.5
    )


def test_names_that_try_to_break_out_are_shown_as_they_are_inside_of_modules_too(reader, layouts):
    names = list(dict.fromkeys([*BREAKING_OUT, *HOSTILE]))
    model, h = tg.nn.Sequential(), leaf(names[0], 2)
    for name in names:
        vars(model)[name] = layer = tg.nn.Linear(2, 2, dtype="float64")
        layer.weight.name = name
    with scope("module", model):
        for name in names:
            h = named(vars(model)[name](h), name)
        loss = tg.sum(h)
    reader.open(tg.draw(loss, view="cells"))
    told = dict(reader.driver.execute_script(OPENED))
    assert told.keys() == {f"{name}: Linear" for name in names}
    assert all(name in told[f"{name}: Linear"] for name in names)
    assert reader.js("window.hacked === undefined")
    assert reader.js("document.querySelectorAll('script').length") == 2
    assert (
        reader.js("document.querySelectorAll('img, #picture > svg script, #picture > svg svg').length") == 0
    )


OPENED = """
return [...document.querySelectorAll(".handle")].map(handle => {
  handle.dispatchEvent(new MouseEvent("click", { bubbles: true }));
  const names = [...document.querySelectorAll("svg:not([hidden]) > g > g.node")].map(box => {
    box.dispatchEvent(new PointerEvent("pointerover", { bubbles: true }));
    return document.querySelector("dd").textContent;
  });
  const title = document.querySelector("h1").textContent;
  document.querySelector("#back").click();
  return [title, names];
});
"""
"""For each module that opens, its title and the first fact of each box inside."""
