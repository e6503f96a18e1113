"""The residual walks back on the page of a picture."""

from __future__ import annotations

import time

import pytest

import tinygrad_rnn as tg
from tests.graph.browser import data_of
from tests.graph.scenes import leaky_run, lstm_step, unrolled
from tests.graph.test_page_inside import modules

LIT = "[...document.querySelectorAll('svg:not([hidden]) .lit')].map(g => g.id)"
FLOW = "[...document.querySelectorAll('svg:not([hidden]) .flow')].map(g => g.id)"


def walked(reader):
    """What is lit at each beat, and the arrows that are drawn at it."""
    beats = []
    reader.press(".")
    while True:
        beats.append((reader.js(LIT), reader.js(FLOW)))
        turn, count = reader.find("#walked").text.split(" of ")
        assert int(turn) == len(beats)
        if turn == count:
            return beats
        reader.press(".")


@pytest.mark.parametrize(
    "build", [lambda: tg.draw(lstm_step(), gains=True), lambda: tg.draw(unrolled()), modules]
)
def test_each_rule_is_applied_after_those_that_its_residual_comes_from(reader, build):
    reader.open(build())
    arrows = [
        (id, source, target)
        for id, source, target, back, *_ in data_of(reader.file.read_text(encoding="utf-8"))["arrows"]
        if back
    ]
    beats = walked(reader)
    order = [lit for (lit,), _ in beats]
    assert sorted(order) == sorted({target for _, _, target in arrows})
    turn = {box: i for i, box in enumerate(order)}
    for _, source, target in arrows:
        assert turn[target] < turn.get(source, len(order))
    for (lit,), drawn in beats:
        assert sorted(drawn) == sorted(id for id, _, target in arrows if target == lit)
    reader.press(",", ",")
    assert reader.js(LIT) == [order[-3]]
    assert reader.facts()
    reader.press("ESCAPE")
    assert reader.labels(".lit, .flow, .dim") == []
    assert reader.find("#walked").text == ""


def test_it_plays_by_itself_and_pauses(reader):
    reader.open(tg.draw(lstm_step(), gains=True), motion=True)
    reader.driver.execute_script("document.querySelector('#speed').value = 6")
    voices = "['aside', '#walked', '#clock output'].map(of => document.querySelector(of).ariaLive)"
    assert reader.js(voices) == ["polite"] * 3
    reader.press("p")
    assert reader.find("#play").text == "pause"
    assert reader.js(voices) == ["off"] * 3  # it would be a flood
    assert reader.style("g.edge.flow path", "animationName") == "flow"
    time.sleep(0.6)
    reader.press(" ")
    turn = int(reader.find("#walked").text.split()[0])
    assert turn >= 3
    assert reader.js(voices) == ["polite"] * 3
    assert "Rule" in reader.told()
    time.sleep(0.4)
    assert int(reader.find("#walked").text.split()[0]) == turn
    reader.click(reader.find("#play"))
    time.sleep(0.4)
    assert int(reader.find("#walked").text.split()[0]) > turn
    reader.click(reader.box("f = σ"))  # who pins something wants to look at that
    assert reader.find("#play").text == "play backward"
    assert reader.find("#walked").text == ""
    assert reader.labels("g.pinned") == ["f = σ"]


def test_where_motion_is_not_wanted_it_goes_by_clicks(reader):
    reader.open(tg.draw(lstm_step(), gains=True))
    assert not reader.find("#play").is_displayed()
    reader.press("p")
    assert reader.find("#walked").text.startswith("1 of ")
    time.sleep(0.3)
    assert reader.find("#walked").text.startswith("1 of ")
    assert reader.style("g.edge.flow path", "animationName") == "none"
    reader.click(reader.find("#after"))
    assert reader.find("#walked").text.startswith("2 of ")
    reader.click(reader.find("#before"))
    assert reader.find("#walked").text.startswith("1 of ")


def test_time_goes_with_it(reader):
    reader.open(tg.draw(unrolled(), gains=True))
    reader.click(reader.find("#t2 text"))  # a closed step is one beat
    beats = walked(reader)
    assert [lit for lit, _ in beats].count(["t2"]) == 1
    reader.press("ESCAPE")
    told = []
    reader.press(".")
    while not told or told[-1] != reader.find("#clock output").text or len(told) < len(beats):
        told.append(reader.find("#clock output").text)
        reader.press(".")
    steps = [text[:5] for text in dict.fromkeys(told) if text[0] == "t"]
    assert steps == ["t = 3", "t = 2", "t = 1"]


def test_steps_that_are_not_shown_are_walked_through_too(reader):
    reader.open(tg.draw(leaky_run(), view="steps"))
    reader.press("END")
    lit, output = [], reader.find("#clock output")
    for turn in range(1, 7):
        reader.press(".")
        lit.append(reader.js(LIT)[0])
        assert output.text.startswith(f"t = {100 - turn}: residual left")
    assert len(set(lit[:4])) == 4
    assert lit[4] == lit[5]  # the box of all that is not shown
