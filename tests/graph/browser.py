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

    def open(self, drawn, dark=False, motion=False, width=1400, height=900):
        """A page, as someone with that screen and those settings gets it."""
        drawn.save(self.file)
        settings = {
            "prefers-color-scheme": "dark" if dark else "light",
            "prefers-reduced-motion": "no-preference" if motion else "reduce",
        }
        features = [{"name": name, "value": value} for name, value in settings.items()]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
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

    def double_click(self, x, y):
        """At a place of the window."""
        actions = self._actions(self.driver, duration=0)
        actions.w3c_actions.pointer_action.move_to_location(x, y).click().click()
        actions.perform()

    def drag(self, x, y, right, down):
        """From a place of the window, so far."""
        actions = self._actions(self.driver, duration=0)
        pointer = actions.w3c_actions.pointer_action
        pointer.move_to_location(x, y).pointer_down().move_to_location(x + right // 2, y + down // 2)
        pointer.move_to_location(x + right, y + down).pointer_up()
        actions.perform()

    def wheel(self, x, y, down):
        """The wheel, turned where the pointer is."""
        turned = {"type": "mouseWheel", "x": x, "y": y, "deltaX": 0, "deltaY": down}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", turned)

    def touch(self, *moments):
        """Fingers on the screen: their places at each moment, then they are lifted."""
        for i, places in enumerate(moments):
            points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
            kind = "touchMove" if i else "touchStart"
            self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        self.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    def shift(self, key):
        """A key with Shift."""
        actions = self._actions(self.driver, duration=0).key_down(self._keys.SHIFT)
        actions.send_keys(getattr(self._keys, key, key)).key_up(self._keys.SHIFT).perform()

    def wait(self, ask):
        """What is asked, once it is true: frames get their events a little later."""
        from selenium.webdriver.support.wait import WebDriverWait

        return WebDriverWait(self.driver, 10, poll_frequency=0.02).until(lambda _: ask())

    def place(self, selector="svg:not([hidden]) > g.graph"):
        """Left, top, width and height on the screen."""
        corners = "(r => [r.left, r.top, r.width, r.height])(document.querySelector(arguments[0])"
        return self.js(f"{corners}.getBoundingClientRect())", selector)

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
