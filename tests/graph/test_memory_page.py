"""What a reader can do with the page of a memory in a real browser, by pointer or by keyboard alone."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.browser import BREAKING_OUT

TEXT = "the cell\nremembers, the gate forgets; " * 4


@pytest.fixture(scope="module")
def memory():
    tg.random.seed(3)
    layer = tg.nn.LSTM(4, 5)
    x = np.random.default_rng(0).normal(size=(len(TEXT), 4)).astype(np.float32)
    memory = tg.memory(layer, x, lambda outputs, steps: outputs[:, 0], tokens=TEXT)
    memory.guesses = [[("t", 0.7), ("\n", 0.2)]] * len(TEXT)
    return memory


def spans(reader):
    return reader.driver.find_elements("css selector", "#stage span")


def shades(reader):
    return np.array(
        reader.js(
            "[...document.querySelectorAll('#stage span')].map(s => +s.style.getPropertyValue('--far'))"
        )
    )


def choose(reader, selector, value):
    program = (
        "const one = document.querySelector(arguments[0]); one.value = arguments[1];"
        "for (const type of ['input', 'change']) one.dispatchEvent(new Event(type))"
    )
    reader.driver.execute_script(program, selector, value)


def check_shades(reader, memory, place):
    """Of the token there every earlier one is as dark as its size, and nothing else."""
    expected = np.zeros(len(TEXT) + 1)
    if place:
        row = memory.relative[place - 1, :place]
        expected[:place] = np.where(row >= 1e-3, 1 + np.log10(np.maximum(row, 1e-9)) / 3, 0) ** 2
    np.testing.assert_allclose(shades(reader), expected, atol=0.01)
    horizon = reader.js("[...document.querySelectorAll('#stage span.horizon')].map(s => +s.dataset.at)")
    assert horizon == ([place - 1 - memory.horizon[place - 1]] if place else [])
    assert reader.js("[...document.querySelectorAll('#stage span.now')].map(s => +s.dataset.at)") == [place]


def test_pointing_and_keys(reader, memory):
    reader.open(memory)
    reader.point(spans(reader)[30])
    check_shades(reader, memory, 30)
    assert "(31 of 152)" in reader.told()
    assert "70 %" in reader.told()
    assert "new line" in reader.told()
    reader.driver.execute_script("document.querySelector('#stage').focus()")
    for key, place in (("ARROW_RIGHT", 31), ("ARROW_LEFT", 30), ("HOME", 0), ("END", len(TEXT))):
        reader.press(key)
        check_shades(reader, memory, place)
    assert "what comes next" in reader.told()
    reader.press("HOME")
    assert "Nothing stands before it" in reader.told()
    tops = [span.rect["y"] for span in spans(reader)]
    reader.press("ARROW_DOWN")
    down = reader.js("+document.querySelector('#stage span.now').dataset.at")
    assert tops[down] > tops[0]
    assert sum(tops[0] < top < tops[down] - 6 for top in tops) == 0
    reader.press("ARROW_UP")
    check_shades(reader, memory, 0)


def test_letters_take_the_colour_of_a_unit(reader, memory):
    reader.open(memory)
    assert reader.labels("#group option") == sorted(["what it was predicted from", *memory.values])
    choose(reader, "#group", list(memory.values).index("c"))
    choose(reader, "#unit", 2)
    found = reader.js(
        "[...document.querySelectorAll('#stage span')].slice(0, -1).map(s =>"
        "s.style.getPropertyValue('--unit') * (s.style.getPropertyValue('--hue').includes('minus') ? -1 : 1))"
    )
    unit = memory.values["c"][:, 2]
    np.testing.assert_allclose(found, unit / np.abs(unit).max(), atol=0.01)
    reader.click(spans(reader)[9])
    assert "unit 2 of c: " in reader.told()
    choose(reader, "#unit", 99)
    assert "unit 4 of c: " in reader.told()


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone(reader, memory, dark):
    reader.open(memory, dark=dark, width=400, height=800)
    assert reader.js("document.documentElement.scrollWidth") <= 400
    reader.click(spans(reader)[12])
    check_shades(reader, memory, 12)
    assert min(reader.contrast(spans(reader)[11], reader.find("#facts h2"))) > 4.5


def test_a_series(reader):
    x = np.sin(np.arange(60.0))[:, None].repeat(2, axis=1)

    def model(x, h=None):
        h = tg.zeros((x.shape[1], 1), dtype="float64") if h is None else h
        return tg.scan(lambda x, h: ((h := 0.5 * h + x[:, :1]), h), x, h)

    reader.open(tg.memory(model, x))
    reader.driver.execute_script("document.querySelector('#stage').focus()")
    reader.press("END")
    assert reader.find("#stage").get_attribute("aria-valuenow") == "59"
    assert "1 % of the largest gradient reaches 6 steps back" in reader.told()
    assert "time 58, 1 back" in reader.told()
    assert reader.labels("#stage p span:first-child") == ["input 0", "input 1", "output"]
    strip = reader.find("#stage canvas")
    light = reader.light(strip)[0]
    second = reader.light(reader.driver.find_elements("css selector", "#stage canvas")[1])[0]
    assert second.mean(axis=0)[-40:-20].mean() > light.mean(axis=0)[-40:-20].mean() + 0.1  # nobody reads it
    rows = light.mean(axis=0)
    assert rows[-40:-20].mean() < rows[:100].mean() - 0.1  # what is near is shaded, what is far is not
    reader.click(strip)  # its middle
    assert reader.find("#stage").get_attribute("aria-valuenow") in ("29", "30")


def test_nothing_breaks_out(reader):
    tokens = [*BREAKING_OUT, "\u202e", "e", "\u0301", "👩", "\u200d", "שלום", "مرحبا", ""]
    memory = tg.memory(
        tg.nn.RNN(1, 1), np.ones((len(tokens), 1), np.float32), lambda y, steps: y[:, 0], tokens=tokens
    )
    memory.title = "".join(BREAKING_OUT)
    memory.guesses = [[(token, 0.1) for token in tokens]] * len(tokens)
    reader.open(memory)
    for span in spans(reader):
        assert span.rect["width"] > 0
        reader.click(span)
    assert reader.js("window.hacked === undefined")
    assert reader.js("document.querySelectorAll('img, #stage svg').length") == 0
    assert reader.js("document.querySelector('#stage').textContent").count("\u202e") == 0
