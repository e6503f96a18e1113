"""The view of modules: what goes from one to the other, and what is inside."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.graph.scenes import BATCH, HIDDEN, INPUT, leaky, leaky_run, tagged
from tinygrad_rnn.graph.modules import Modules, Sizes
from tinygrad_rnn.reading.followed import ones
from tinygrad_rnn.reading.names import Names
from tinygrad_rnn.reading.owners import Owners


def test_residuals_between_modules_are_those_of_the_chain_rule(rng):
    first, second = tg.nn.Linear(INPUT, HIDDEN, dtype="float64"), tg.nn.Linear(HIDDEN, 2, dtype="float64")
    x = tg.tensor(rng.standard_normal((BATCH, INPUT)), requires_grad=True)
    out = tg.sum(second(tg.tanh(first(x))))
    tape = tg.Tape.of(out)
    modules = Modules(tape, [], Names(tape), Owners(tape, [{"first": first, "x": x}]))
    sizes = Sizes(modules, ones([out]))
    between = np.ones((BATCH, 2)) @ second.weight.numpy()
    into_first = between * (1 - np.tanh(x.numpy() @ first.weight.numpy().T + first.bias.numpy()) ** 2)
    assert [(part.title, part.kind, part.parameters) for part in modules.parts] == [
        ("first", "Linear", INPUT * HIDDEN + HIDDEN), ("", "tanh", 0), ("", "Linear", HIDDEN * 2 + 2),
        ("", "Σ", 0),
    ]  # fmt: skip
    wanted = {
        "m3": 1.0,
        "m2": np.sqrt(2 * BATCH),
        "m1": np.linalg.norm(between),
        "m0": np.linalg.norm(into_first),
    }
    assert sizes.arrived == pytest.approx(wanted, rel=1e-12)
    assert sizes.sent["m0", "p0"] == pytest.approx(
        np.linalg.norm(into_first @ first.weight.numpy()), rel=1e-12
    )


def test_inside_of_a_module_are_the_operations_of_the_last_step_that_a_residual_reaches(rng):
    layer = tg.nn.RNN(INPUT, HIDDEN, dtype="float64")
    y, _ = layer(tg.tensor(rng.standard_normal((4, BATCH, INPUT))))
    loss = tg.sum(2.0 * y[1])
    (name, scene), *_ = tg.draw(loss, view="cells")._scene.inside.items()
    assert (name, scene.title) == ("m0", "layer: RNNCell, 4 steps: t = 1")
    assert "one step of 4: the last that a residual reaches" in scene.notes
    labels = sorted(box.label for box in scene.boxes)
    assert labels == sorted(
        [
            "@",
            "@",
            "+",
            "+",
            "+",
            "h[t] = tanh",
            "h[t]",
            "h[t−1]",
            "x",
            "weight_ihᵀ",
            "weight_hhᵀ",
            "bias_ih",
            "bias_hh",
        ]
    )
    facts = {box.label: dict(box.facts) for box in scene.boxes}
    bent = 2.0 * (1 - y.numpy()[1] ** 2)
    assert float(facts["h[t] = tanh"]["residual"]) == pytest.approx(2.0 * np.sqrt(BATCH * HIDDEN), rel=1e-5)
    back = next(
        arrow
        for arrow in scene.arrows
        if arrow.target == next(box.id for box in scene.boxes if box.label == "h[t] = tanh")
    )
    assert back.size == pytest.approx(np.linalg.norm(bent), rel=1e-12)
    result = next(arrow for arrow in scene.arrows if arrow.target[0] == "o")
    assert (result.back, result.look["label"]) == (True, "δ in")


def test_inside_of_other_modules_are_all_of_their_operations():
    scenes = {scene.title: scene for scene in tg.draw(tagged(), view="cells")._scene.inside.values()}
    # of a sum there is one operation only, and of an embedding, but that a device also makes NaN of what is
    # no row
    embedding = [] if tg.zeros(()).backend == "numpy" else ["embed: Embedding"]
    assert list(scenes) == [*embedding, "rnn: LSTMCell, 3 steps: t = 2", "readout: Linear"]
    assert [box.label for box in scenes["readout: Linear"].boxes if box.rule] == [
        "reshape",
        "@",
        "reshape",
        "+",
    ]
    assert tg.draw(tagged(), view="cells", gains=False)._scene.inside
    few = tg.draw(tagged(), view="cells", max_nodes=10)._scene.inside
    assert [scene.title for scene in few.values()] == [*embedding, "readout: Linear"]


class Scanner(tg.nn.Linear):
    """A module that scans a function itself, reads out by the module that it is, and holds another."""

    def __init__(self):
        super().__init__(HIDDEN, HIDDEN, dtype="float64")
        self.last = tg.nn.Linear(HIDDEN, 2, dtype="float64")

    def __call__(self, x):
        y, _ = tg.scan(leaky, x, (x[0], x[0]))
        return self.last(tg.nn.Linear.__call__(self, y[-1]))


def test_steps_inside_of_a_module_that_holds_others_are_a_box_of_their_own():
    leaky_run(1)  # sets the weights
    model = Scanner()
    out = tg.sum(model(tg.tensor(np.ones((4, BATCH, HIDDEN)))))
    drawn = tg.draw(out, view="cells").dot
    assert "leaky, 4 steps" in drawn
    assert "last: Linear" in drawn
    assert f"{3 * HIDDEN} parameters" in drawn
