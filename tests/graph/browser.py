"""Someone in front of a page in a real browser, and what the page knows."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import BATCH, HIDDEN, INPUT, leaf, named

BREAKING_OUT = [
    "</script><script>window.hacked=1</script>", "<img src=x onerror='window.hacked=1'>",
    "<svg onload=window.hacked=1>", "a\nb", "]]>",
    "<!--", "\u2028", "javascript:window.hacked=1", "\"onmouseover='window.hacked=1'", "{css}", "权重 🚀",
    "&lt;b&gt;",
]  # fmt: skip


def lstm_layer(steps=3):
    layer = tg.nn.LSTM(INPUT, HIDDEN)
    for name, parameter in layer.named_parameters():
        parameter.name = name
    y, _ = layer(leaf("x", steps, BATCH, INPUT, grad=False).astype("float32"))
    return named(tg.sum(y[-1]), "loss")


def pictures_of(page):
    """What the page knows of its picture, and of those inside of boxes."""
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    )


def data_of(page):
    return pictures_of(page)[0]


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
        pairs = self.js(
            "[...document.querySelectorAll('dt')].map(dt => [dt.textContent, dt.nextSibling.textContent])"
        )
        return dict(pairs)

    def told(self):
        return self.js("document.querySelector('#facts').innerText")

    def labels(self, selector):
        return sorted(
            self.js("[...document.querySelectorAll(arguments[0])].map(g => g.textContent.trim())", selector)
        )

    def style(self, selector, name):
        return self.js("getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, name)

    def focused(self):
        return self.js("document.activeElement.id")

    def light(self, *elements):
        """For each the relative luminance of its pixels."""
        image = pytest.importorskip("matplotlib.image").imread(
            io.BytesIO(self.driver.get_screenshot_as_png())
        )[..., :3]
        linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
        light = linear @ np.array([0.2126, 0.7152, 0.0722])
        corners = (
            "(r => [r.top, r.bottom, r.left, r.right].map(Math.round))(arguments[0].getBoundingClientRect())"
        )
        boxes = [self.js(corners, element) for element in elements]
        return [light[top:bottom, left:right] for top, bottom, left, right in boxes]

    def contrast(self, *elements):
        """For each the ratio of its lightest to its darkest pixel: for text on its ground, the text's
        contrast."""
        return [(part.max() + 0.05) / (part.min() + 0.05) for part in self.light(*elements)]
