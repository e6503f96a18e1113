"""Text from a model."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.train.run import Run
from tinygrad_rnn.train.sampling import _draw, sample


@pytest.fixture
def run(config, tmp_path):
    return Run.new(config, str(tmp_path / "run"))


def written(run, **options):
    return sample(run.model, run.corpus.vocabulary, 40, **options)


@pytest.mark.both_backends
def test_a_seed_means_a_text(run):
    assert written(run, seed=1) == written(run, seed=1) != written(run, seed=2)
    assert len(written(run)) == 40


def test_the_prompt_comes_first_and_must_be_known(run):
    assert written(run, prompt="the cell").startswith("the cell")
    with pytest.raises(tg.DataError, match="never seen '~'"):
        written(run, prompt="~")


def test_at_temperature_0_chance_does_not_matter(run):
    assert written(run, temperature=0, seed=1) == written(run, temperature=0, seed=2)


def test_sampling_leaves_the_runs_chance_alone(run):
    before = tg.random.get_state()
    written(run)
    assert tg.random.get_state() == before


@pytest.mark.parametrize("temperature", [1e-300, 1e-6, 1.0, 1e6])
def test_drawing_follows_the_temperature(temperature):
    logits, chance = np.array([0.0, 3.0, 1.0], np.float32), np.random.default_rng(0)
    with np.errstate(over="ignore"):
        drawn = [_draw(logits, temperature, chance) for _ in range(300)]
    share = drawn.count(1) / 300
    assert share == 1 if temperature < 1e-3 else abs(share - (0.844 if temperature == 1 else 1 / 3)) < 0.1
