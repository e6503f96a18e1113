"""On the page of a picture: the search, and the ways from a box to others."""

from __future__ import annotations

import pytest

import tinygrad_rnn as tg
from tests.graph.browser import data_of, lstm_layer
from tests.graph.scenes import lstm_step, unrolled
from tests.graph.test_page_inside import modules
from tests.graph.test_page_view import is_in_view


def search(reader, text):
    reader.press("/", *text)
    return reader.find("#count").text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("f = σ", ["f = σ"]),  # a label
        ("c[t−1]", ["c[t−1]"]),  # a name
        ("SIGMOID", ["f = σ", "i = σ", "o = σ"]),  # an operation
        ("(4, 16)", ["U"]),  # a shape
        ("nowhere", []),
    ],
)
def test_boxes_are_found_by_label_name_operation_and_shape(reader, text, found):
    reader.open(tg.draw(lstm_step(), gains=True))
    told = search(reader, text)
    assert reader.labels("g.node.found") == found
    assert told == (f"{len(found)} found" if found else "nothing found")
    assert reader.js("getComputedStyle(document.querySelector('#count')).display") != "none"
    assert reader.find("#count").aria_role == "status"  # read aloud
    reader.press("ENTER")
    assert reader.facts().get("operation") == ("sigmoid" if "σ" in "".join(found) else None)
    reader.press("ESCAPE")
    assert reader.labels("g.node.found") == []
    assert reader.find("#count").text == ""


def test_enter_goes_from_match_to_match_and_opens_what_is_closed(reader):
    reader.open(tg.draw(unrolled(4), gains=True))
    reader.click(reader.find("#fold"))
    assert search(reader, "relu") == "4 found"
    for turn, label in enumerate(("h[1] = relu", "h[2] = relu", "h[3] = relu", "h[4] = relu", "h[1] = relu")):
        reader.press("ENTER")
        assert reader.find("#count").text == f"{turn % 4 + 1} of 4"
        assert reader.labels("g.node.current") == [label]
        assert reader.box(label).is_displayed()
        assert is_in_view(reader, "g.node.current")
        assert reader.facts()["operation"] == "relu"
    assert reader.focused() == "search"
    reader.shift("ENTER")
    assert reader.labels("g.node.current") == ["h[4] = relu"]
    assert search(reader, "x") == "nothing found"  # "relux"


def test_what_is_inside_of_boxes_is_found_too(reader):
    reader.open(modules())
    assert search(reader, "tanh") != "nothing found"
    assert reader.labels("svg:not([hidden]) g.node.found") == []
    whole = reader.find("h1").text
    reader.press("ENTER")
    assert reader.find("h1").text != whole
    assert reader.labels("svg:not([hidden]) g.node.current") == ["g = tanh"]
    assert is_in_view(reader, "svg:not([hidden]) g.node.current")


def test_from_a_box_to_its_operands_and_to_what_needs_it(reader, layouts):
    reader.open(tg.draw(unrolled(4), gains=True))
    reader.click(reader.box("h[2] = relu"))
    links = """[...document.querySelectorAll('#facts .links')].map(list =>
      [...list.querySelectorAll('.go')].map(button => button.textContent).sort())"""
    assert reader.js(links) == [["+"], ["@", "@"]]
    reader.press(*"++++++++")
    reader.point(reader.find("h1"))
    for label, operands, users in (
        ("+", ["+", "b"], ["h[2] = relu"]),
        ("b", None, ["+"]),
        ("+", ["+", "b"], ["h[2] = relu"]),
    ):
        buttons = reader.driver.find_elements("css selector", "#facts .links .go")
        reader.click(next(button for button in buttons if button.text == label))
        assert reader.labels("g.pinned") == [label]
        assert reader.js("document.activeElement.matches('g.pinned')")
        assert is_in_view(reader, "g.pinned")
        assert reader.js(links) == ([users] if operands is None else [operands, users])
    way = reader.driver.find_elements("css selector", ".way .go")
    reader.click(way[-1])  # the loss
    assert reader.labels("g.pinned") == ["loss[4]"]


def test_the_smallest_gains_are_told_and_gone_to(reader):
    reader.open(tg.draw(lstm_step(), gains=True))
    data = data_of(reader.file.read_text(encoding="utf-8"))
    labels = {box["id"]: box["label"] for box in data["boxes"]}
    kinds = {box["id"]: dict(box["facts"]).get("case") for box in data["boxes"]}
    told = [line.text for line in reader.driver.find_elements("css selector", "#smallest li")]
    gains = sorted(
        (float(dict(box["facts"])[name].split()[0][1:]), labels[box["id"]])
        for box in data["boxes"]
        for name in dict(box["facts"])
        if name.startswith("gain to") and kinds[box["id"]] != "addition"
    )[:5]
    assert [line.split(" to ")[0] for line in told] == [f"×{gain:.3g} {label}" for gain, label in gains]
    reader.click(reader.find("#smallest .go"))
    assert reader.labels("g.pinned") == [gains[0][1]]
    assert reader.facts()["operation"] == "sigmoid"


def test_where_a_state_begins_with_zeros_the_smallest_gains_are_others(reader):
    reader.open(tg.draw(lstm_layer(), gains=True))
    told = reader.labels("#smallest li")
    assert len(told) == 5
    assert not any(line.startswith("×0 ") for line in told)
    assert "×0" in reader.labels("g.edge text")
