"""What ``fit`` keeps goes on bit for bit."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.train.test_fit import B, Classifier, N, Reader, T, batches, fresh, quiet, same
from tinygrad_rnn import optim, train


@pytest.mark.parametrize("first", [1, 5, 6, 11])
@pytest.mark.parametrize("options", [{}, {"average": 0.9}, {"accumulate": 2}, {"clip": 0.5}])
def test_it_goes_on_bit_for_bit(first, options, rng, tmp_path):
    data, validation = batches(5, rng), batches(2, rng)

    def run(folder, steps, resume):
        model = fresh(0.3)
        adam = optim.Adam(model.parameters(), lr=0.02)
        schedule = optim.CosineLR(adam, 14)
        history = quiet(
            model, data, steps=steps, every=3, optimizer=adam, schedule=schedule, validation=validation,
            folder=tmp_path / folder, resume=resume, metrics={"accuracy": train.Accuracy()}, **options,
        )  # fmt: skip
        return model, history

    run("parts", first, False)
    model, history = run("parts", 14, True)
    whole, expected = run("whole", 14, "auto")
    same(model, whole)
    assert [row for row in history if row["step"] in expected["step"]][-1]["loss"] == pytest.approx(
        expected.rows[-1]["loss"]
    )
    for name in ("last", "best"):
        one, other = (tg.load(tmp_path / f / f"{name}.safetensors") for f in ("parts", "whole"))
        names = [key for key in one if "history" not in key]
        assert names == [key for key in other if "history" not in key]
        for key in names:
            np.testing.assert_array_equal(one[key].numpy(), other[key].numpy())


def test_a_carried_state_goes_on(rng, tmp_path):
    stream = rng.normal(size=(5 * T + 1, B, N))
    windows = [(stream[t : t + T], stream[t + 1 : t + T + 1]) for t in range(0, 5 * T, T)]

    def run(folder, steps, resume):
        tg.random.seed(1)
        model = Reader()
        train.fit(
            model, tg.mse_loss, windows, steps=steps, every=1, carry=True, progress=False,
            folder=tmp_path / folder, resume=resume,
        )  # fmt: skip
        return model

    run("parts", 3, False)
    same(run("parts", 9, True), run("whole", 9, False))


def test_the_folder_is_not_overwritten(rng, tmp_path):
    data = batches(2, rng)
    with pytest.raises(tg.CheckpointError, match="holds no training to go on with"):
        quiet(fresh(), data, epochs=1, folder=tmp_path, resume=True)
    quiet(fresh(), data, epochs=1, folder=tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()
    with pytest.raises(tg.CheckpointError, match="resume=True, or choose another folder"):
        quiet(fresh(), data, epochs=1, folder=tmp_path)
    with pytest.raises(tg.CheckpointError):
        train.fit(Reader(), tg.mse_loss, data, epochs=2, folder=tmp_path, resume=True, progress=False)
    assert (tmp_path / "last.safetensors").read_bytes() == before


@pytest.mark.parametrize("first", [1, 4, 7, 13])
def test_batches_go_on_in_the_middle_of_a_pass(first, rng, tmp_path):
    x = rng.normal(size=(30, T, N))
    y = (x.sum((1, 2)) > 0).astype("int64")

    class Rows(Classifier):
        def __call__(self, x):
            return super().__call__(np.swapaxes(x, 0, 1))

    def run(folder, steps, resume):
        tg.random.seed(3)
        model = Rows(0.2)
        data = tg.data.batches((x, y), 7, seed=1)
        quiet(model, data, steps=steps, every=4, folder=tmp_path / folder, resume=resume)
        return model

    run("parts", first, False)
    same(run("parts", 14, True), run("whole", 14, False))


def test_windows_are_read_with_a_state(rng):
    stream = rng.normal(size=(200, N))
    model = Reader()
    history = train.fit(
        model, tg.mse_loss, tg.data.windows(stream, 5, 4), epochs=2, carry=True, progress=False
    )
    assert len(history) == 2
    assert history["loss"][1] < history["loss"][0]


@pytest.mark.parametrize("places", [[1], [4, 5, 9], [15], [7, 20]])
@pytest.mark.parametrize("options", [{"epochs": 4}, {"steps": 20, "every": 6}, {"steps": 20, "patience": 2}])
def test_a_training_that_was_paused_is_as_one_that_was_not(places, options, rng, tmp_path):
    """Also where an evaluation was due, an epoch or the training at its end: no line is missing, nor more."""
    data, validation = batches(5, rng), batches(2, rng)

    class Pause:
        def on_update(self, training):
            if training.step in places:
                training.pause()

    def run(folder, *callbacks):
        model = fresh(0.3)
        adam = optim.Adam(model.parameters(), lr=0.05)
        told = quiet(
            model, data, optimizer=adam, validation=validation, folder=tmp_path / folder, resume="auto",
            callbacks=callbacks, **options,
        )  # fmt: skip
        return model, told

    whole, expected = run("whole")
    for _ in range(len(places) + 1):
        model, history = run("parts", Pause())
    assert history.rows == expected.rows
    assert (history.stopped, history.best) == (expected.stopped, expected.best)
    same(model, whole)
    last = [(tmp_path / name / "last.safetensors").read_bytes() for name in ("whole", "parts")]
    assert last[0] == last[1]


def test_what_a_training_writes_beside_the_weights(rng, tmp_path):
    quiet(
        fresh(), batches(2, rng), epochs=3, validation=batches(1, rng), folder=tmp_path,
        metadata={"classes": "ab"}, log=lambda history: f"{len(history)} lines",
    )  # fmt: skip
    assert (tmp_path / "log.csv").read_text() == "3 lines"
    assert tg.load(tmp_path / "best.safetensors").metadata == {"classes": "ab"}
    assert tg.load(tmp_path / "last.safetensors").metadata["classes"] == "ab"
    with pytest.raises(tg.ArgumentError, match=r"metadata=.*needs a folder"):
        quiet(fresh(), batches(1, rng), epochs=1, metadata={"a": "b"})
    for metadata in ({"a": 1}, {"tinygrad_rnn.state": "x"}, {"a": "\ud800"}):
        with pytest.raises(tg.CheckpointError, match="fit: "):
            quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path / "new", metadata=metadata)
    assert not (tmp_path / "new").exists()


def test_parameters_that_are_not_finite_are_not_saved(rng, tmp_path):
    """An update may overflow although its loss and its residuals were finite."""
    model, data = fresh(), batches(2, rng)
    quiet(model, data, epochs=1, folder=tmp_path)
    before = (tmp_path / "last.safetensors").read_bytes()

    class Overflow:
        def on_update(self, training):
            weight = training.model.parameters()[0]
            weight.data = np.full(weight.shape, np.inf, weight.dtype)

    with pytest.raises(tg.TrainingError, match="is not finite"):
        quiet(model, data[:1], epochs=2, folder=tmp_path, resume=True, callbacks=[Overflow()])
    assert (tmp_path / "last.safetensors").read_bytes() == before


class Holder(tg.nn.Module):
    """Carries a state that is nested as somebody likes it."""

    def __init__(self, nest):
        self.lstm, self.nest = tg.nn.LSTM(N, N), nest

    def __call__(self, x, state):
        y, (h, c) = self.lstm(x, None if state is None else tuple(self.nest.apart(state)))
        return y, self.nest.together(h, c)


class Pair(NamedTuple):
    h: Any
    c: Any


class Nest(NamedTuple):
    together: Any
    apart: Any


NESTS = {
    "tuple": Nest(lambda h, c: (h, c), lambda state: state),
    "list": Nest(lambda h, c: [h, c], lambda state: [*state] if isinstance(state, list) else 1 / 0),
    "named tuple": Nest(Pair, lambda state: (state.h, state.c)),
    "dict": Nest(lambda h, c: {"h": h, "c": c}, lambda state: (state["h"], state["c"])),
    "nested": Nest(lambda h, c: {"a": [h], "b": Pair(c, c)}, lambda state: (state["a"][0], state["b"].h)),
}


@pytest.mark.parametrize("nest", NESTS)
def test_a_carried_state_comes_back_nested_as_it_was(nest, rng, tmp_path):
    stream = rng.normal(size=(5 * T + 1, B, N)).astype("float32")
    windows = [(stream[t : t + T], stream[t + 1 : t + T + 1]) for t in range(0, 5 * T, T)]

    def run(folder, steps, resume):
        tg.random.seed(1)
        model = Holder(NESTS[nest])
        train.fit(
            model, tg.mse_loss, windows, steps=steps, every=1, carry=True, progress=False,
            folder=tmp_path / folder, resume=resume,
        )  # fmt: skip
        return model

    run("parts", 3, False)
    same(run("parts", 9, True), run("whole", 9, False))


@pytest.mark.parametrize("call", ["pause", "stop"])
def test_what_waits_for_an_update_is_not_lost(call, rng, tmp_path):
    """Who asks for an end between two batches gets it after the update that they are for."""
    data = batches(6, rng)

    def run(folder):
        model, asks, called = fresh(), [], []

        def loss(y, t):
            if asks and len(called) == 3:  # of four
                asks.pop()()
            called.append(1)
            return tg.cross_entropy(y, t)

        training = []
        run_of = train.Training.run

        def runs(self):
            training.append(self)
            return run_of(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(train.Training, "run", runs)
            if folder == "asked":
                asks.append(lambda: getattr(training[0], call)())
            history = train.fit(
                model, loss, data, steps=3, accumulate=4, progress=False, folder=tmp_path / folder
            )
        return model, history

    model, history = run("asked")
    assert history.stopped == ("paused" if call == "pause" else "asked")
    one = fresh()
    quiet(one, data[:4], steps=1, accumulate=4)
    same(model, one)


def test_a_best_model_that_was_lost_is_written_again(rng, tmp_path):
    data, validation = batches(2, rng), batches(2, rng)
    options = {"validation": validation, "folder": tmp_path}
    quiet(fresh(), data, epochs=3, **options)
    before = tg.load(tmp_path / "best.safetensors")
    (tmp_path / "best.safetensors").unlink()

    def worse(y, t):
        return tg.cross_entropy(y, t) + 100.0

    train.fit(fresh(), worse, data, epochs=4, resume=True, progress=False, **options)
    after = tg.load(tmp_path / "best.safetensors")
    for name, weights in before.items():
        np.testing.assert_array_equal(weights.numpy(), after[name].numpy())


@pytest.mark.parametrize("name", ["best.safetensors", "log.csv"])
def test_files_of_others_are_left_alone(name, rng, tmp_path):
    (tmp_path / name).write_text("mine")
    with pytest.raises(tg.CheckpointError, match="choose another folder"):
        quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(name, "mine")]


def test_a_folder_that_failed_to_open_is_free_again(rng, tmp_path):
    quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path)
    whole = (tmp_path / "last.safetensors").read_bytes()
    (tmp_path / "last.safetensors").write_bytes(whole[:100])
    kept = []
    try:
        quiet(fresh(), batches(1, rng), epochs=2, folder=tmp_path, resume=True)
    except tg.CheckpointError as error:
        kept.append(error)
    (tmp_path / "last.safetensors").write_bytes(whole)
    assert len(quiet(fresh(), batches(1, rng), epochs=2, folder=tmp_path, resume=True)) == 2
    assert "not a whole safetensors file" in str(kept[0])
