"""What is seen of a picture on its page: all of it at first, then what the reader goes to by wheel, fingers,
pointer or keys."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import exact_cases, lstm_step, unrolled


def is_in_view(reader, selector="svg:not([hidden]) > g.graph"):
    left, top, width, height = reader.place(selector)
    x, y, across, down = reader.place("#picture")
    return left >= x and top >= y and left + width <= x + across + 1 and top + height <= y + down + 1


def fills(reader):
    """Whether it takes all of the room in one direction, margins apart."""
    *_, width, height = reader.place()
    *_, across, down = reader.place("#picture")
    return max(width / (across - 32), height / (down - 32)) > 0.9


def middle(place):
    left, top, width, height = place
    return left + width / 2, top + height / 2


@pytest.mark.parametrize(("width", "height"), [(1400, 900), (390, 800)])
def test_the_whole_picture_is_in_view_and_fills_the_window(reader, layouts, width, height):
    for drawn in (tg.draw(lstm_step(), gains=True), tg.draw(unrolled(6), gains=True)):
        reader.open(drawn, width=width, height=height)
        assert is_in_view(reader)
        assert fills(reader)
    reader.driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 700, "height": 500, "deviceScaleFactor": 1, "mobile": False},
    )
    assert reader.js("innerWidth") == 700
    reader.driver.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert is_in_view(reader)
    assert fills(reader)


def test_a_small_picture_is_enlarged_but_not_beyond_what_is_pleasant(reader):
    reader.open(tg.draw(exact_cases()))
    assert 16 <= reader.js("document.querySelector('#n0 text').getBoundingClientRect().height") <= 30


def test_wheel_drag_double_click_keys_and_buttons(reader):
    reader.open(tg.draw(lstm_step(), gains=True))
    box, here = "#n5", middle(reader.place("#n5"))
    whole = reader.place()

    reader.wheel(*here, -200)
    near = reader.place()
    assert near[2] > 1.5 * whole[2]
    assert middle(reader.place(box)) == pytest.approx(here, abs=1)  # what the wheel points at stays
    reader.wheel(*here, 200)
    assert reader.place() == pytest.approx(whole, abs=1)

    ground = [int(part) for part in (whole[0] + whole[2] - 60, whole[1] + whole[3] - 20)]
    reader.drag(*ground, 80, -60)
    assert reader.place()[:2] == pytest.approx([whole[0] + 80, whole[1] - 60], abs=1)
    reader.drag(*(int(part) for part in middle(reader.place(box))), 30, 30)
    assert reader.labels("g.pinned") == []  # a drag is no click

    reader.press("f")
    assert reader.place() == pytest.approx(whole, abs=1)
    reader.double_click(ground[0], ground[1])
    assert reader.place()[2] == pytest.approx(2 * whole[2], rel=0.01)
    for key in ("ARROW_RIGHT", "ARROW_DOWN"):
        before = reader.place()
        reader.press(key)
        moved = [after - was for after, was in zip(reader.place(), before, strict=True)]
        assert moved == pytest.approx([-80, 0, 0, 0] if key == "ARROW_RIGHT" else [0, -80, 0, 0], abs=1)
    before = reader.place()
    reader.press("+")
    assert reader.place()[2] == pytest.approx(1.25 * before[2], rel=0.01)
    reader.press("-", "0")
    assert reader.js("document.querySelector('svg:not([hidden])').getScreenCTM().a") == pytest.approx(4 / 3)
    reader.click(reader.find("#fit"))
    assert reader.place() == pytest.approx(whole, abs=1)
    reader.click(reader.find("#in"))
    assert reader.place()[2] == pytest.approx(1.5 * whole[2], rel=0.01)
    reader.click(reader.find("#out"))
    assert reader.place() == pytest.approx(whole, abs=1)


def test_two_fingers_zoom_and_one_moves(reader):
    reader.open(tg.draw(lstm_step(), gains=True), width=390, height=800)
    whole, (x, y) = reader.place(), map(round, middle(reader.place("#n5")))
    reader.touch([(x - 40, y), (x + 40, y)], [(x - 60, y), (x + 60, y)], [(x - 80, y), (x + 80, y)])
    assert reader.place()[2] == pytest.approx(2 * whole[2], rel=0.02)
    assert middle(reader.place("#n5")) == pytest.approx((x, y), abs=3)
    before = reader.place()
    reader.touch([(x, y)], [(x - 20, y)], [(x - 50, y + 10)])
    assert reader.place()[:2] == pytest.approx([before[0] - 50, before[1] + 10], abs=1)
    assert reader.labels("g.pinned") == []
    reader.touch([(round(part) for part in middle(reader.place("#n5")))])
    assert reader.js("[scrollX, scrollY, visualViewport.scale]") == [0, 0, 1]


def test_the_keyboard_brings_into_view_what_it_comes_to(reader):
    reader.open(tg.draw(unrolled(6), gains=True))
    reader.press(*["+"] * 12)
    assert not is_in_view(reader, "#t6")
    reader.driver.execute_script("document.querySelector('#t5').focus()")
    reader.press("TAB", "TAB", "END")  # the last step, the boxes, the last of them
    assert reader.focused()[0] == "o"
    assert is_in_view(reader, f"#{reader.focused()}")
    before = reader.place()
    reader.shift("ARROW_LEFT")
    assert reader.place()[0] == pytest.approx(before[0] + 80, abs=1)
    reader.press("HOME")
    assert is_in_view(reader, f"#{reader.focused()}")


def test_a_phone_has_the_controls_above_and_the_facts_below(reader):
    reader.open(tg.draw(unrolled(), gains=True), width=390, height=800)
    assert reader.js("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]") == [
        390,
        800,
    ]
    controls, shown, facts = (reader.place(selector) for selector in ("header", "#picture", "aside"))
    assert controls[1] + controls[3] <= shown[1]
    assert shown[1] + shown[3] <= facts[1]
    assert shown[3] > 250
    assert facts[3] > 150
    small = """[...document.querySelectorAll("#controls :is(button, select, input[type=search])")]
      .filter(e => e.checkVisibility() && Math.min(e.clientWidth, e.clientHeight) < 20).map(e => e.id)"""
    assert reader.js(small) == []


class Notebook:
    """A picture among other things, as a notebook has it."""

    def __init__(self, drawn):
        self._page = f"<!doctype html><h1>above</h1>{drawn._repr_html_()}<p style='height: 3000px'>below</p>"

    def save(self, file):
        file.write_text(self._page, encoding="utf-8")


def test_in_a_notebook_the_frame_does_not_hold_up_those_who_scroll(reader):
    reader.open(Notebook(tg.draw(lstm_step(), gains=True)))
    left, top, *_ = reader.place("iframe")
    frame = reader.find("iframe")
    scrolled = "scrollY"

    def inside(ask):
        reader.driver.switch_to.frame(frame)
        try:
            return ask()
        finally:
            reader.driver.switch_to.default_content()

    whole = inside(reader.place)
    assert inside(lambda: is_in_view(reader))
    x, y = (round(part + by) for part, by in zip(middle(whole), (left, top), strict=True))
    reader.wheel(x, y, 100)
    assert reader.wait(lambda: reader.js(scrolled) > 0)
    assert inside(reader.place) == whole
    reader.driver.execute_script("scrollTo(0, 0)")
    reader.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    reader.touch([(x, y)], [(x, y - 30)], [(x, y - 60)], [(x, y - 90)])
    assert reader.wait(lambda: reader.js(scrolled) > 0)
    assert inside(reader.place) == whole
    reader.driver.execute_script("scrollTo(0, 0)")
    reader.touch([(x - 40, y), (x + 40, y)], [(x - 60, y), (x + 60, y)], [(x - 80, y), (x + 80, y)])
    assert reader.wait(lambda: inside(reader.place)[2] == pytest.approx(2 * whole[2], rel=0.05))
    assert reader.js(scrolled) == 0
    reader.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
