"""The page of a picture: its file, our own layout, and what a reader can do with it in a real browser, by pointer or by keyboard alone.

The browser is Chromium, driven by Selenium: ``apt install chromium chromium-driver``. Without it those tests are skipped, visibly.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from test_graph import BATCH, HIDDEN, HOSTILE, INPUT, exact_cases, gru_step, leaf, lstm_step, named, unrolled

import tinygrad_rnn as tg
from tinygrad_rnn.graph import html, layout, picture
from tinygrad_rnn.tape import scope

pytestmark = pytest.mark.one_backend

BREAKING_OUT = [
    "</script><script>window.hacked=1</script>", "<img src=x onerror='window.hacked=1'>", "<svg onload=window.hacked=1>", "a\nb", "]]>",
    "<!--", "\u2028", "javascript:window.hacked=1", "\"onmouseover='window.hacked=1'", "{css}", "权重 🚀", "&lt;b&gt;",
]  # fmt: skip
ENGINE = picture._engine()


@pytest.fixture(params=["engine", "own layout"])
def layouts(request, monkeypatch):
    """Both ways to a drawing."""
    if request.param == "engine" and ENGINE is None:
        pytest.skip("no graphviz engine: pip install graphviz-pure")
    monkeypatch.setattr(picture, "_engine", lambda: ENGINE if request.param == "engine" else None)
    return request.param


def lstm_layer(steps=3):
    layer = tg.nn.LSTM(INPUT, HIDDEN)
    for name, parameter in layer.named_parameters():
        parameter.name = name
    y, _ = layer(leaf("x", steps, BATCH, INPUT, grad=False).astype("float32"))
    return named(tg.sum(y[-1]), "loss")


def pictures_of(page):
    """What the page knows of its picture, and of those inside of boxes."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])


def data_of(page):
    return pictures_of(page)[0]


# -- the file -------------------------------------------------------------------------------------------------------------------------


def test_file_is_small_and_loads_nothing(layouts, tmp_path):
    drawn = tg.draw(lstm_layer(), gains=True)
    drawn.save(tmp_path / "lstm.html")
    page = (tmp_path / "lstm.html").read_text(encoding="utf-8")
    assert page == drawn.html()
    assert len(page.encode()) < 150_000
    assert "default-src 'none'" in page
    assert not re.search(r"(?:src|href)=|@import|https?:(?!//www\.w3\.org)", page)


def test_program_and_style_are_small():
    """As large as a small picture; of it 2 kB go from picture to picture, where modules open."""
    assert len(html._static("viewer.js").encode()) + len(html._static("viewer.css").encode()) < 14_000


@pytest.mark.parametrize(
    "draw",
    [
        *(lambda build=build: tg.draw(build(), gains=True) for build in (exact_cases, lstm_step, gru_step, unrolled, lstm_layer)),
        *(lambda view=view: tg.draw(lstm_layer(20), view=view) for view in ("steps", "cells")),
        lambda: tg.draw(lstm_step(), order=True, values=True),
        lambda: tg.draw(tg.sum(tg.nn.LSTM(INPUT, HIDDEN, bidirectional=True)(leaf("x", 20, 2, INPUT).astype("float32"))[0]), view="steps"),
    ],
)
def test_everything_that_the_page_speaks_of_is_drawn(layouts, draw):
    page = draw().html()
    all_ids = re.findall(r'<[^>]*? id="([^"]+)"', page)
    ids = set(all_ids)
    assert len(ids) == len(all_ids)
    for data in pictures_of(page):
        spoken = [box["id"] for box in data["boxes"]] + [arrow[0] for arrow in data["arrows"]] + [group["id"] for group in data["groups"]]
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
    scene = tg.draw(exact_cases())._scene
    svg = (
        b'<?xml version="1.0"?><!DOCTYPE svg><!-- c --><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        b'onload="x()"><g class="graph"><title>t</title><polygon/><g id="n0" class="node" style="x"><g id="a_n0"><a xlink:href="http://x">'
        b'<ellipse onclick="x()"/><image href="http://x"/><text>&lt;b&gt;</text></a></g></g><script>x()</script></g></svg>'
    )
    clean = ElementTree.tostring(html.cleaned(svg, scene), encoding="unicode")
    assert clean == '<svg><g class="graph"><g id="n0" class="node"><ellipse /><text>&lt;b&gt;</text></g></g></svg>'


def test_facts_are_those_of_straight_computation():
    hidden, state = lstm_step()
    boxes = data_of(tg.draw([hidden, state], gains=True, of=hidden).html())["boxes"]
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
        (lambda x: x * x, "y = a × b"), (lambda x: x - 1.0, "y = a − b"), (tg.tanh, "y = tanh(x)"), (lambda x: x**2, "y = x²"),
        (lambda x: x @ x, "y = a @ b"), (lambda x: tg.stack([x, x, x]), "y = stack(x1, x2, x3)"), (abs, "y = |x|"),
        (lambda x: -x, "y = negative(x)"),
    ],
)  # fmt: skip
def test_formula_uses_the_letters_of_the_rule(make, formula):
    boxes = data_of(tg.draw(make(leaf("x", 2, 2))).html())["boxes"]
    assert ["formula", formula] in next(box["facts"] for box in boxes if box["rule"])


# -- our own layout -------------------------------------------------------------------------------------------------------------------


def rectangles(root, css):
    found = {}
    for g in root.iter("g"):
        shape = g.find("polygon") if g.find("polygon") is not None else g.find("ellipse")
        if (g.get("class") or "").split()[0] != css or shape is None:
            continue
        if shape.tag == "ellipse":
            cx, cy, rx, ry = (float(shape.get(name)) for name in ("cx", "cy", "rx", "ry"))
            found[g.get("id")] = (cx - rx, cy - ry, cx + rx, cy + ry)
        else:
            xs, ys = zip(*(map(float, point.split(",")) for point in shape.get("points").split()), strict=True)
            found[g.get("id")] = (min(xs), min(ys), max(xs), max(ys))
    return found


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def beside_steps():
    """What stands in no step has to stand beside the readout of one."""
    h, losses = leaf("h", 2, 2), []
    for t in (1, 2):
        with scope("step", t):
            h = tg.tanh(h * leaf("w", 2))
            losses.append(tg.sum(tg.exp(h)))
        h = tg.sin(h)
    return losses


@pytest.mark.parametrize("build", [exact_cases, lstm_step, gru_step, unrolled, lstm_layer, lambda: lstm_layer(12), beside_steps])
def test_boxes_do_not_overlap_and_stand_right_of_what_they_need(build):
    scene = tg.draw(build(), gains=True, max_nodes=1000)._scene
    root = layout.svg_of(scene)
    nodes, frames = rectangles(root, "node"), {id: frame for id, frame in rectangles(root, "cluster").items() if id}
    assert not [pair for pair in itertools.combinations(nodes, 2) if overlap(nodes[pair[0]], nodes[pair[1]])]
    assert not [pair for pair in itertools.combinations(frames, 2) if overlap(frames[pair[0]], frames[pair[1]])]
    for arrow in scene.arrows:
        if arrow.source in nodes and arrow.target in nodes:
            assert nodes[arrow.source][2] < nodes[arrow.target][0]
    for box in scene.boxes:
        if box.id in nodes:
            inside = {id for id, frame in frames.items() if overlap(nodes[box.id], frame)}
            assert inside == ({box.group} if box.group else set())


def test_state_is_a_straight_line():
    scene = tg.draw(unrolled())._scene
    nodes = rectangles(layout.svg_of(scene), "node")
    heights = {round(nodes[box.id][1] + nodes[box.id][3]) for box in scene.boxes if box.straight}
    assert heights == {0}


def test_layout_is_the_same_in_processes_with_other_hashes():
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_html as t; t.picture._engine = lambda: None; "
        "t.tg.random.seed(0); print(t.tg.draw(t.lstm_layer(), gains=True).html())"
    )
    told = set()
    for seed in "01":
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        told.add(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
    assert len(told) == 1


# -- in a browser ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium():
    programs = [shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")]
    if None in programs:
        pytest.skip("no browser: apt install chromium chromium-driver")
    webdriver = pytest.importorskip("selenium.webdriver", reason="no selenium: pip install selenium")
    options = webdriver.ChromeOptions()
    options.binary_location = programs[0]
    quiet = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage")
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1400,900", *quiet):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(programs[1]))
    yield driver
    driver.quit()


class Reader:
    """Someone in front of a page, who sees its text and its styles."""

    def __init__(self, driver, file):
        from selenium.webdriver import ActionChains, Keys

        self.driver, self.file, self._actions, self._keys = driver, file, ActionChains, Keys

    def open(self, drawn, dark=False, width=1400, height=900):
        """A page, as someone with that screen and those settings gets it."""
        drawn.save(self.file)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.get(self.file.as_uri())

    def js(self, program, *args):
        return self.driver.execute_script(f"return {program}", *args)

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def box(self, label):
        """The first box with that text, in the picture that is shown."""
        boxes = self.driver.find_elements("css selector", "svg:not([hidden]) g.node")
        return next(g for g in boxes if self.js("arguments[0].textContent.trim()", g) == label)

    def point(self, element):
        self._actions(self.driver, duration=0).move_to_element(element).perform()

    def click(self, element):
        self._actions(self.driver, duration=0).move_to_element(element).click().perform()

    def press(self, *keys):
        for key in keys:
            self._actions(self.driver, duration=0).send_keys(getattr(self._keys, key, key)).perform()

    def facts(self):
        pairs = self.js("[...document.querySelectorAll('dt')].map(dt => [dt.textContent, dt.nextSibling.textContent])")
        return dict(pairs)

    def told(self):
        return self.js("document.querySelector('#facts').innerText")

    def labels(self, selector):
        return sorted(self.js("[...document.querySelectorAll(arguments[0])].map(g => g.textContent.trim())", selector))

    def style(self, selector, name):
        return self.js("getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name)

    def focused(self):
        return self.js("document.activeElement.id")

    def light(self, *elements):
        """For each the relative luminance of its pixels."""
        image = pytest.importorskip("matplotlib.image").imread(io.BytesIO(self.driver.get_screenshot_as_png()))[..., :3]
        linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
        light = linear @ np.array([0.2126, 0.7152, 0.0722])
        corners = "(r => [r.top, r.bottom, r.left, r.right].map(Math.round))(arguments[0].getBoundingClientRect())"
        boxes = [self.js(corners, element) for element in elements]
        return [light[top:bottom, left:right] for top, bottom, left, right in boxes]

    def contrast(self, *elements):
        """For each the ratio of its lightest to its darkest pixel: for text on its ground, the text's contrast."""
        return [(part.max() + 0.05) / (part.min() + 0.05) for part in self.light(*elements)]


@pytest.fixture
def reader(chromium, tmp_path):
    reader = Reader(chromium, tmp_path / "page.html")
    chromium.get_log("performance")
    chromium.get_log("browser")
    yield reader
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = {event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"}
    assert asked == {reader.file.as_uri()}


def test_pointing_tells_the_facts(reader, layouts):
    reader.open(tg.draw(exact_cases(), gains=True))
    assert reader.facts() == {}
    reader.point(reader.box("×"))
    assert reader.facts() == {
        "operation": "multiply", "case": "weighting", "formula": "y = a × b", "shape": "() float64", "range": "1 … 1", "residual": "1",
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
    assert "All ways to c[t], h[t]: 6 boxes." in reader.told() or "All ways to h[t], c[t]: 6 boxes." in reader.told()
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
    ends = ["markerEnd", "markerStart"] if layouts == "own layout" else ["markerStart", "markerEnd"]
    reversed_edge = "#en5-n6-0 path"  # the readout, which engines get the other way round
    assert [reader.style(reversed_edge, end) for end in ends] == ['url("#tip")', "none"]
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
    x, W, U, b, V = (np.asarray(leaf(n, *s).numpy()) for n, s in zip("xWUbV", ((2, 3), (3, 4), (4, 4), (4,), (4, 1)), strict=True))
    hs = [np.asarray(leaf("h", 2, 4).numpy())]
    for _ in range(3):
        hs.append(np.maximum(x @ W + hs[-1] @ U + b, 0))
    residuals = [np.ones((2, 1)) @ V.T]
    for h in (hs[3], hs[2]):
        residuals.append((residuals[-1] * (h > 0)) @ U.T)
    left = [f"{np.linalg.norm(r) / np.linalg.norm(residuals[0]):.2g}" for r in residuals[::-1]]

    reader.open(tg.draw(unrolled(), gains=True))
    reader.driver.execute_script("document.querySelector('#time').focus()")
    output = reader.find("output")
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


def test_a_step_closes_and_opens_by_click(reader, layouts):
    reader.open(tg.draw(unrolled(), gains=True))
    inside = reader.box("h[1] = relu")
    reader.click(reader.find("#t1 text"))
    assert not inside.is_displayed()
    assert reader.find("#t1").get_attribute("aria-expanded") == "false"
    assert "t = 1" in reader.find("g.cover").text
    assert "residual left" in reader.find("g.cover").text
    assert reader.box("h[2] = relu").is_displayed()
    reader.click(reader.find("g.cover"))
    assert inside.is_displayed()
    assert reader.labels("g.cover") == []
    reader.click(reader.find("#fold"))
    assert len(reader.labels("g.cover")) == 3
    assert not [g for g in reader.driver.find_elements("css selector", "g.node") if g.is_displayed() and g.get_attribute("id")[0] != "p"]
    reader.click(reader.find("#fold"))
    assert reader.labels("g.cover, g.hidden") == []


def test_keyboard_alone_does_all_of_it(reader, layouts):
    reader.open(tg.draw(unrolled(), gains=True))
    met = []
    while not reader.js("document.activeElement.matches('g.node')"):
        reader.press("TAB")
        met.append(reader.js("document.activeElement.id || document.activeElement.value"))
        assert reader.js("getComputedStyle(document.activeElement).outlineStyle") != "none"
        assert len(met) < 20
    assert met == ["backward", "gains", "fit", "fold", "time", "t1", "t2", "t3", reader.focused()]
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
    reader.driver.execute_script("document.querySelector('#t2').focus()")
    reader.press("ENTER")
    assert not reader.box("h[2] = relu").is_displayed()
    reader.press("TAB", "TAB", "END", "ARROW_LEFT")
    assert reader.js("document.activeElement.checkVisibility()")  # what is closed is passed over
    reader.driver.execute_script("document.querySelector('#t2').focus()")
    reader.press(" ")
    assert reader.box("h[2] = relu").is_displayed()


def test_screen_readers_are_told(reader, layouts):
    reader.open(tg.draw(unrolled(), gains=True))
    assert reader.js("document.querySelectorAll('g.node:not([role=button]), g.node:not([aria-label])').length") == 0
    assert reader.find("#n0").get_attribute("aria-label").startswith("@, operation matmul, case weighting, formula y = a @ b")
    assert reader.find("#t1").get_attribute("aria-label").startswith("t = 1 residual left")
    assert reader.find("#picture > svg").get_attribute("aria-label") == "How residuals go back from loss[3]"
    assert reader.find("aside").get_attribute("aria-live") == "polite"
    unnamed = "[...document.querySelectorAll('input, button')].filter(e => !(e.labels?.length || e.textContent.trim())).length"
    assert reader.js(unnamed) == 0


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable_in_the_light_and_in_the_dark(reader, layouts, dark):
    reader.open(tg.draw(lstm_step(), gains=True), dark=dark, width=2200)  # full size: of smaller letters all pixels mix ink and ground
    ground = [int(part) for part in re.findall(r"\d+", reader.style("body", "backgroundColor"))]
    assert max(ground) < 40 if dark else min(ground) > 240
    reader.click(reader.box("split"))
    texts = ["h1", "#legend li", "label", "#fit", "aside h2", "dt", "dd", ".rule"]
    shown = [reader.find(selector) for selector in texts]
    drawn = [reader.box(label).find_element("css selector", "text") for label in ("split", "f = σ", "×", "h[t]")]
    assert min(reader.contrast(*shown, *drawn)) >= 4.5
    reader.press("ESCAPE")
    assert min(reader.contrast(*reader.driver.find_elements("css selector", "g.edge text"))) >= 4.5
    grounds = [np.median(part) for part in reader.light(*map(reader.box, ("split", "b", "c[t]")))]
    assert max(grounds) < 0.1 if dark else min(grounds) > 0.7


TOUCH = """
const box = document.getElementById(arguments[0]), facts = document.querySelector("#facts");
const after = type => { box.dispatchEvent(new PointerEvent(type, {bubbles: true})); return facts.querySelector("dd").textContent; };
return [box.textContent.trim(), box.getAttribute("aria-label"), after("pointerover"), after("click"), facts.textContent];
"""
"""What is to be read at a box: drawn, by a screen reader, pointed at, pinned, and all facts."""


def test_names_that_try_to_break_out_are_shown_as_they_are(reader, layouts):
    names, outs, title = [*BREAKING_OUT, *HOSTILE], [], "".join(BREAKING_OUT)
    for name in names:
        with scope("step", name):
            outs.append(named(tg.tanh(leaf(name, 2)), name))
    reader.open(tg.draw(outs, gains=True, title=title, max_nodes=1000))
    for button in ("#fold", "#fold"):  # all steps closed, and opened again
        reader.driver.execute_script("document.querySelector(arguments[0]).click()", button)
        covers = reader.js("[...document.querySelectorAll('g.cover')].map(g => g.firstChild.nextSibling.textContent)")
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
    assert reader.js("window.hacked === undefined")
    assert reader.js("document.querySelectorAll('script').length") == 2
    assert reader.js("document.querySelectorAll('img, #picture > svg script, #picture > svg svg').length") == 0


def halving(steps=40):
    h = leaf("h", 2)
    for t in range(steps):
        with scope("step", t):
            h = named(h * 0.5 + leaf(f"x{t}", 2), "h")
    return named(tg.sum(h), "loss")


def test_steps_that_are_not_shown_are_on_the_slider_too(reader, layouts):
    reader.open(tg.draw(halving(), view="steps"))
    output, time = reader.find("output"), reader.find("#time")
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


OVERVIEW, LAYER, READOUT = "How residuals go back from loss", "layer 2: LSTMCell, 3 steps: t = 2", "readout: Linear"


def test_a_module_opens_by_its_sign_and_by_a_second_click(reader, layouts):
    reader.open(modules())
    title = reader.find("h1")
    assert "A box with a plus sign shows its operations" in reader.find("#hint").text
    assert not reader.find("#back").is_displayed()
    signed = reader.labels("g.node:has(.handle)")
    assert [label.partition(":")[0] for label in signed] == ["layer 1", "layer 2", "readout"]  # the sum is one operation
    reader.click(reader.find("#m1 .handle"))
    assert title.text == LAYER
    assert not reader.find("#m1").is_displayed()
    assert reader.box("h[t]").is_displayed()
    assert len(reader.labels("#legend li")) == 3
    assert "cell-state channel" in reader.js("document.querySelector('#picture > svg:not([hidden])').textContent")
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
    assert "Way to the loss, inside of the module" in reader.told()
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
    assert reader.style("#em1-m2 path", "stroke") == "rgb(138, 138, 138)"  # what was chosen holds for all of them


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
    told = [float(re.search(r"residual (\S+)\)", text)[1]) for name, text in facts.items() if name.startswith("gain to")]
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
    texts = [reader.box(label).find_element("css selector", "text") for label in ("split", "f = σ", "h[t]")]
    assert min(reader.contrast(*texts, reader.find("#back"), reader.find("#legend li"), reader.find(".note"))) >= 4.5


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
    assert reader.js("document.querySelectorAll('img, #picture > svg script, #picture > svg svg').length") == 0


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


def test_a_phone_shows_the_facts_below(reader, layouts):
    reader.open(tg.draw(lstm_step(), gains=True), width=390, height=800)
    assert reader.js("document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight")
    above, below = (reader.find(selector).rect for selector in ("#picture", "aside"))
    assert above["y"] + above["height"] <= below["y"]
    assert above["height"] > 200
    assert below["height"] > 150


def test_fit_to_width(reader, layouts):
    reader.open(tg.draw(unrolled(), gains=True))
    wider = "document.querySelector('#picture').scrollWidth > document.querySelector('#picture').clientWidth"
    assert reader.js(wider)
    reader.click(reader.find("#fit"))
    assert not reader.js(wider)
