"""What a reader can do with the page of a picture in a real browser, by pointer or by keyboard alone."""

from __future__ import annotations

import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.browser import BREAKING_OUT, data_of
from tests.graph.scenes import HOSTILE, exact_cases, leaf, lstm_step, named, unrolled
from tinygrad_rnn.tape import scope


def test_pointing_tells_the_facts(reader, layouts):
    reader.open(tg.draw(exact_cases(), gains=True))
    assert reader.facts() == {}
    reader.point(reader.box("×"))
    assert reader.facts() == {
        "operation": "multiply", "case": "weighting", "formula": "y = a × b", "shape": "() float64",
        "range": "1 … 1", "residual": "1",
        "gain to w": "×2 (residual 2)", "gain to x": "×0.5 (residual 0.5)", "visited backwards": "#3 of 3",
    }  # fmt: skip
    assert "Rule" not in reader.told()
    reader.point(reader.box("b"))
    assert reader.facts() == {"name": "b", "kind": "parameter", "shape": "() float64", "range": "1 … 1"}
    reader.point(reader.find("h1"))
    assert reader.facts() == {}
    assert reader.find("#hint").is_displayed()


def test_click_pins_and_shows_the_way_to_the_loss_and_escape_clears(reader, layouts):
    reader.open(tg.draw(lstm_step(), gains=True))
    reader.click(reader.box("f = σ"))
    assert reader.labels("g.node:not(.dim)") == sorted(["f = σ", "×", "+", "tanh", "×", "c[t]", "h[t]"])
    assert len(reader.labels("g.edge:not(.dim)")) == 6  # one from each of them to the next, and two from +
    assert float(reader.style("g.node.dim", "opacity")) < 0.3
    assert reader.style("g.node.pinned > :first-child", "strokeWidth") == "4px"
    assert "dx = dy · y · (1 − y)" in reader.told()
    assert (
        "All ways to c[t], h[t]: 6 boxes." in reader.told()
        or "All ways to h[t], c[t]: 6 boxes." in reader.told()
    )
    reader.point(reader.box("W"))
    assert reader.facts()["name"] == "W"
    reader.point(reader.find("h1"))
    assert reader.facts()["operation"] == "sigmoid"  # what is pinned comes back
    reader.press("ESCAPE")
    assert reader.facts() == {}
    assert reader.labels("g.dim, g.pinned, g.strong") == []


def test_at_a_fork_the_larger_residual_is_bold(reader, layouts):
    x = leaf("x", 2)
    reader.open(tg.draw(named(tg.sum(tg.tanh(x) * 0.5 + tg.tanh(x * 3.0)), "y"), gains=True))
    reader.click(reader.box("x"))
    # at 0.5 and 0.25 the slopes of both are of one size, so the factor 3 decides
    slopes = [0.5 * (1 - np.tanh(x.numpy()) ** 2), 3 * (1 - np.tanh(3 * x.numpy()) ** 2)]
    assert np.linalg.norm(slopes[1]) > np.linalg.norm(slopes[0])
    assert reader.labels("g.node.strong") == sorted(["x", "×", "tanh", "+", "Σ", "y"])
    assert "x → × → tanh → + → Σ → y" in reader.told()
    assert len(reader.labels("g.node.dim")) == 2  # both numbers


def test_switches_hide_and_turn(reader, layouts):
    reader.open(tg.draw(unrolled(), gains=True))
    gain = reader.find("g.edge text")
    assert gain.is_displayed()
    reader.click(reader.find("#gains"))
    assert reader.style("g.edge text", "display") == "none"
    reader.click(reader.find("#gains"))
    assert gain.is_displayed()
    reader.click(reader.find("[value=forward]"))
    assert reader.style("g.edge polygon", "display") == "none"
    assert reader.style("g.edge text", "display") == "none"
    assert reader.style("g.edge.case1 path", "stroke") == "rgb(138, 138, 138)"
    assert reader.style("g.edge.case1 path", "markerEnd") == 'url("#tip")'
    reader.click(reader.find("[value=backward]"))
    assert reader.style("g.edge polygon", "display") != "none"
    assert reader.style("g.edge.case1 path", "markerEnd") == "none"


def test_without_gains_their_switch_is_off(reader):
    reader.open(tg.draw(unrolled()))
    assert not reader.find("#gains").is_enabled()
    reader.click(reader.box("h[2] = relu"))
    assert "In bold" not in reader.told()
    assert reader.labels("g.node.strong") == []


def test_slider_goes_through_time_and_says_what_is_left(reader, layouts):
    # the straight computation of ‖δh_t‖ / ‖δh_3‖ for loss[3]
    x, W, U, b, V = (
        np.asarray(leaf(n, *s).numpy())
        for n, s in zip("xWUbV", ((2, 3), (3, 4), (4, 4), (4,), (4, 1)), strict=True)
    )
    hs = [np.asarray(leaf("h", 2, 4).numpy())]
    for _ in range(3):
        hs.append(np.maximum(x @ W + hs[-1] @ U + b, 0))
    residuals = [np.ones((2, 1)) @ V.T]
    for h in (hs[3], hs[2]):
        residuals.append((residuals[-1] * (h > 0)) @ U.T)
    left = [f"{np.linalg.norm(r) / np.linalg.norm(residuals[0]):.2g}" for r in residuals[::-1]]

    reader.open(tg.draw(unrolled(), gains=True))
    reader.driver.execute_script("document.querySelector('#time').focus()")
    output = reader.find("#clock output")
    assert output.text == "all steps"
    for t in (1, 2, 3):
        reader.press("ARROW_RIGHT")
        assert output.text == f"t = {t}: residual left: {left[t - 1]}"
        assert reader.js("[...document.querySelectorAll('g.cluster.now')].map(g => g.id)") == [f"t{t}"]
        assert {f"h[{t}] = relu", f"x[{t}]"} <= set(reader.labels("g.node:not(.dim)"))
        assert not [label for label in reader.labels("g.node:not(.dim)") if re.search(rf"\[[^{t}]\]", label)]
    reader.press("HOME")
    assert reader.labels("g.node.dim") == []
    reader.press("ARROW_RIGHT", "ESCAPE")
    assert output.text == "all steps"
    assert reader.labels("g.now, g.dim") == []


def test_keyboard_alone_does_all_of_it(reader, layouts):
    reader.open(tg.draw(unrolled(), gains=True))
    met = []
    while not reader.js("document.activeElement.matches('g.node')"):
        reader.press("TAB")
        met.append(reader.js("document.activeElement.id || document.activeElement.value"))
        assert reader.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert len(met) < 20
    buttons = ["out", "in", "fit", "fold", "before", "after", "time", "search"]  # nothing plays by itself
    assert met == ["backward", "gains", *buttons, "t1", "t2", "t3", reader.focused()]
    order = [box["id"] for box in data_of(reader.file.read_text(encoding="utf-8"))["boxes"]]
    assert reader.focused() == order[0]
    reader.press("ARROW_RIGHT", "ARROW_RIGHT")
    assert reader.focused() == order[2] == "n0"
    assert reader.facts()["operation"] == "matmul"
    reader.press("ARROW_LEFT")
    assert reader.focused() == order[1]
    reader.press("ARROW_UP")  # towards the loss
    assert reader.focused() == "n0"
    reader.press("ARROW_DOWN")
    assert reader.focused() == order[0]
    reader.press("END")
    assert reader.focused() == order[-1]
    reader.press("HOME", "ENTER")
    assert reader.js("document.activeElement.getAttribute('aria-pressed')") == "true"
    assert "Way to the loss" in reader.told()
    reader.press("ESCAPE")
    assert reader.labels("g.pinned") == []


def test_screen_readers_are_told(reader, layouts):
    reader.open(tg.draw(unrolled(), gains=True))
    assert (
        reader.js("document.querySelectorAll('g.node:not([role=button]), g.node:not([aria-label])').length")
        == 0
    )
    assert (
        reader.find("#n0")
        .get_attribute("aria-label")
        .startswith("@, operation matmul, case weighting, formula y = a @ b")
    )
    assert reader.find("#t1").get_attribute("aria-label").startswith("t = 1 residual left")
    assert reader.find("#picture > svg").get_attribute("aria-label") == "How residuals go back from loss[3]"
    assert reader.find("aside").get_attribute("aria-live") == "polite"
    unnamed = (
        "[...document.querySelectorAll('input, button, select')].filter(e => !(e.labels?.length || "
        "e.ariaLabel || e.textContent.trim())).length"
    )
    assert reader.js(unnamed) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_in_the_light_and_in_the_dark(reader, layouts, dark):
    # full size: of smaller letters all pixels mix ink and ground
    reader.open(tg.draw(lstm_step(), gains=True), dark=dark, width=2200)
    ground = [int(part) for part in re.findall(r"\d+", reader.style("body", "backgroundColor"))]
    assert max(ground) < 40 if dark else min(ground) > 240
    reader.click(reader.box("split"))
    texts = ["h1", "#legend li", "label", "#fit", "aside h2", "dt", "dd", ".rule"]
    shown = [reader.find(selector) for selector in texts]
    drawn = [
        reader.box(label).find_element("css selector", "text") for label in ("split", "f = σ", "×", "h[t]")
    ]
    assert min(reader.contrast(*shown, *drawn)) >= 4.5
    reader.press("ESCAPE")
    assert min(reader.contrast(*reader.driver.find_elements("css selector", "g.edge text"))) >= 4.5
    grounds = [np.median(part) for part in reader.light(*map(reader.box, ("split", "b", "c[t]")))]
    assert max(grounds) < 0.1 if dark else min(grounds) > 0.7


TOUCH = """
const box = document.getElementById(arguments[0]), facts = document.querySelector("#facts");
const after = type => {
  box.dispatchEvent(new PointerEvent(type, {bubbles: true}));
  return facts.querySelector("dd").textContent;
};
const label = box.getAttribute("aria-label");
return [box.textContent.trim(), label, after("pointerover"), after("click"), facts.textContent];
"""
"""What is to be read at a box: drawn, by a screen reader, pointed at, pinned, and all facts."""


SEARCHED = """(name => {
  const field = document.querySelector("#search");
  field.value = name;
  field.dispatchEvent(new Event("input"));
  return Number.parseInt(document.querySelector("#count").textContent);
})(arguments[0])"""
BOXES_WITH = """[...document.querySelectorAll("g.node")].filter(box =>
  box.getAttribute("aria-label").toLowerCase().includes(arguments[0].trim().toLowerCase())).length"""
"""How many boxes the search finds, and how many a screen reader would read it of."""


def test_names_that_try_to_break_out_are_shown_as_they_are(reader, layouts):
    names, outs, title = [*BREAKING_OUT, *HOSTILE], [], "".join(BREAKING_OUT)
    for name in names:
        with scope("step", name):
            outs.append(named(tg.tanh(leaf(name, 2)), name))
    reader.open(tg.draw(outs, gains=True, title=title, max_nodes=1000))
    for button in ("#fold", "#fold"):  # all steps closed, and opened again
        reader.driver.execute_script("document.querySelector(arguments[0]).click()", button)
        covers = reader.js(
            "[...document.querySelectorAll('.cover')].map(g => g.querySelector('text').textContent)"
        )
        assert covers in ([f"t = {name}" for name in names], [])
    assert reader.js("document.querySelector('h1').textContent") == title
    assert reader.driver.title.startswith(BREAKING_OUT[0])
    for i, name in enumerate(names):
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name)
        cut = shown if len(shown) <= 28 else shown[:27] + "…"
        label, aria, pointed, clicked, told = reader.driver.execute_script(TOUCH, f"p{i}_{i + 1}")
        assert label.replace("\xa0", " ") == cut
        assert aria.startswith(f"{name}, name {name}, ")
        assert pointed == clicked == name
        assert told.count(name) >= 4  # box, name, the way and its end
        if name.strip() and name.isprintable():  # a field is one line
            assert reader.js(SEARCHED, name) == reader.js(BOXES_WITH, name)
    assert reader.js("window.hacked === undefined")
    assert reader.js("document.querySelectorAll('script').length") == 2
    assert (
        reader.js("document.querySelectorAll('img, #picture > svg script, #picture > svg svg').length") == 0
    )
