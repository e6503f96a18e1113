"""A function that is drawn as one node opens in the page."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import leaf, named


def test_a_function_opens_and_closes(reader, layouts):
    x = leaf("x", 3, 4)
    loss = named(tg.cross_entropy(tg.tanh(x) @ leaf("W", 4, 4).T, [0, 3, 1]), "loss")
    reader.open(tg.draw(loss, gains=True))
    box = reader.find("g.node.function")
    assert "9 operations" in box.text
    reader.point(box)
    assert reader.facts()["made of"] == "9 operations: 2 composition, 6 addition, 1 weighting"
    softmax = np.exp(tg.log_softmax(tg.tanh(x) @ leaf("W", 4, 4).T).numpy())
    sent = np.linalg.norm((softmax - np.eye(4)[[0, 3, 1]]) / 3)
    assert float(reader.facts()["gain to @"].split()[0][1:]) == pytest.approx(sent, rel=1e-5)
    reader.click(reader.find(".handle"))
    assert reader.find("h1").text == "loss = cross_entropy"
    assert reader.box("exp").is_displayed()
    reader.press("ESCAPE")
    assert reader.box("Wᵀ").is_displayed()
