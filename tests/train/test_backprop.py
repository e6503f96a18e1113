"""The backprop graph of a run: gains of a real window, beside derivatives of the whole window at once."""

import math

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import graph
from tinygrad_rnn.nn.modes import evaluating
from tinygrad_rnn.train import pictures
from tinygrad_rnn.train.config import Config
from tinygrad_rnn.train.run import Run


@pytest.fixture
def run(text, tmp_path):
    config = Config(hidden=6, embed=4, batch=3, length=8, steps=12, every=6, text=str(text))
    run = Run.new(config, str(tmp_path / "run"))
    run.train(lambda step: None, lambda: False)
    return run


def sizes(picture, label):
    """Of the residuals that come to a box or leave it."""
    scene = picture._scene
    ids = [box.id for box in scene.boxes if box.label == label]
    return [arrow.size for arrow in scene.arrows if {arrow.source, arrow.target} & {*ids}]


@pytest.mark.parametrize("count", [1, 3, 8, 11])
def test_what_comes_back_is_that_of_the_whole_window(run, count, monkeypatch):
    """The state's residual before the drawn steps: of the last one's loss and all later ones."""
    monkeypatch.setattr(graph, "HEIGHT", math.inf)  # every operation, however many steps there are
    picture = pictures.backprop(run, count)
    length = max(8, count)
    later = (length - count) // 2
    first = pictures.WARM + length - later - count
    with evaluating(run.model):
        x, y = run.window(0, pictures.WARM + length)
        with tg.no_grad():
            _, (h, c) = run.model(x[:first])
        h, c = (tg.tensor(s.numpy(), requires_grad=True) for s in (h, c))
        logits, _ = run.model(x[first:], (h, c))
        loss = tg.cross_entropy(logits[count - 1 :], y[first + count - 1 :], reduction="sum")
    before = first - pictures.WARM
    for name, residual in zip("hc", tg.gradients(loss, (h, c)), strict=True):
        (found,) = sizes(picture, f"{name}[{before}]")
        np.testing.assert_allclose(found, np.linalg.norm(residual.numpy()), rtol=1e-4)
        assert found > 0
    assert (len(sizes(picture, f"c[{before + count}]")) == 1) == (later > 0)
    steps = f"Step {before + 1}" if count == 1 else f"Steps {before + 1}–{before + count}"
    here = "t = 0" if count == 1 else f"t = 0–{count - 1}"
    losses = f"residual of {later + 1} losses" if later else "residual of 1 loss"
    assert picture._scene.title == f"{steps} of {length} ({here}), after {first} characters: {losses}"
    assert picture._scene.measured


@pytest.mark.parametrize("cell", ["rnn", "gru", "peephole"])
def test_every_cell_has_a_road_that_is_alive(cell, text, tmp_path):
    config = Config(
        cell=cell,
        hidden=4,
        embed=3,
        layers=2,
        batch=2,
        length=6,
        steps=2,
        every=1,
        words=True,
        text=str(text),
    )
    picture = pictures.backprop(Run.new(config, str(tmp_path / "run")), 1)
    state = "c" if cell == "peephole" else "h"
    assert sizes(picture, f"{state}[3]")[0] > 0
    assert "after 203 words" in picture._scene.title


def test_residuals_of_ones_own_begin_the_drawing():
    x = tg.tensor([0.5, -1.0], requires_grad=True, name="x")
    y, g = tg.tanh(x), np.array([3.0, 0.1])
    gain = np.linalg.norm(g * (1 - np.tanh([0.5, -1.0]) ** 2)) / np.linalg.norm(g)
    assert f"×{gain:.3g}" in tg.draw(y, gains=True, residuals=g).dot
    assert f"×{gain:.3g}" in tg.draw([y, tg.sum(y)], gains=True, start=y, residuals=[g]).dot
    with pytest.raises(tg.ShapeError, match=r"residuals: 2 for 1"):
        tg.draw(y, gains=True, residuals=[g, g])
    with pytest.raises(tg.ShapeError, match=r"shape \(3,\), and its result \(2,\)"):
        tg.draw(y, gains=True, residuals=np.ones(3))
