"""What ``fit`` keeps goes on bit for bit."""

from __future__ import annotations

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
