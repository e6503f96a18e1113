"""What a training left, as objects again."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.train.test_fit import Classifier, Reader, batches, fresh, quiet, same
from tinygrad_rnn import optim, train
from tinygrad_rnn.train.run import Run


def test_a_training_by_fit(rng, tmp_path):
    data, validation, model = batches(2, rng), batches(3, rng), fresh()
    history = quiet(
        model, data, epochs=30, optimizer=optim.Adam(model.parameters(), lr=0.1), validation=validation,
        folder=tmp_path, metrics={"matrix": train.ConfusionMatrix(2)},
    )  # fmt: skip
    run = train.load_run(tmp_path, Classifier())
    same(run.model, model)
    assert run.history.best["validation_loss"] == history.best["validation_loss"]
    np.testing.assert_array_equal(run.history.rows[3]["matrix"], history.rows[3]["matrix"])
    assert not run.model.training
    assert run.vocabulary is None


def test_a_run_of_the_command_line(config, tmp_path):
    made = Run.new(config, str(tmp_path / "run"))
    made.train(lambda step: None, lambda: False)
    made.finish()
    run = train.load_run(tmp_path / "run")
    same(run.model, made.model)
    assert run.vocabulary.characters == made.corpus.vocabulary.characters
    assert len(run.history) == config.steps
    assert run.history.rows[4]["held_out_bits_per_character"] == made.steps[4].held_out
    with pytest.raises(tg.CheckpointError, match="leave model out"):
        train.load_run(tmp_path / "run", Classifier())


def test_what_is_no_training(rng, tmp_path):
    with pytest.raises(tg.CheckpointError, match="holds no training"):
        train.load_run(tmp_path)
    quiet(fresh(), batches(1, rng), epochs=1, folder=tmp_path)
    with pytest.raises(tg.CheckpointError, match="give a fresh model"):
        train.load_run(tmp_path)
    other = Reader()
    before = [p.numpy().copy() for p in other.parameters()]
    with pytest.raises(tg.CheckpointError, match="do not fit Reader"):
        train.load_run(tmp_path, other)
    for p, value in zip(other.parameters(), before, strict=True):
        np.testing.assert_array_equal(p.numpy(), value)
