"""Text from a model."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.train.loop import Trainer
from tinygrad_rnn.train.sampling import _draw, sample


@pytest.fixture
def trainer(config):
    return Trainer(config, config.corpus())


def written(trainer, **options):
    return sample(trainer.model, trainer.corpus.vocabulary, 40, **options)


@pytest.mark.both_backends
def test_a_seed_means_a_text(trainer):
    assert written(trainer, seed=1) == written(trainer, seed=1) != written(trainer, seed=2)
    assert len(written(trainer)) == 40


def test_the_prompt_comes_first_and_must_be_known(trainer):
    assert written(trainer, prompt="the cell").startswith("the cell")
    with pytest.raises(tg.DataError, match="never seen '~'"):
        written(trainer, prompt="~")


def test_at_temperature_0_chance_does_not_matter(trainer):
    assert written(trainer, temperature=0, seed=1) == written(trainer, temperature=0, seed=2)


def test_sampling_leaves_the_runs_chance_alone(trainer):
    before = tg.random.get_state()
    written(trainer)
    assert tg.random.get_state() == before


@pytest.mark.parametrize("temperature", [1e-300, 1e-6, 1.0, 1e6])
def test_drawing_follows_the_temperature(temperature):
    logits, chance = np.array([0.0, 3.0, 1.0], np.float32), np.random.default_rng(0)
    with np.errstate(over="ignore"):
        drawn = [_draw(logits, temperature, chance) for _ in range(300)]
    share = drawn.count(1) / 300
    assert share == 1 if temperature < 1e-3 else abs(share - (0.844 if temperature == 1 else 1 / 3)) < 0.1
