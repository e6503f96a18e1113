"""What a run keeps: the model that knew the held-out text best, not the last one."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import cli
from tinygrad_rnn.train import snapshot
from tinygrad_rnn.train.config import Config
from tinygrad_rnn.train.folder import LAST
from tinygrad_rnn.train.run import Run


@pytest.fixture
def overfitting(config, tmp_path, rng):
    """A text of chance: the more of it is remembered, the worse is what is expected of the rest."""
    text = tmp_path / "chance.txt"
    text.write_text("".join(rng.choice(list("abcdefgh"), 500)), encoding="utf-8")
    return dataclasses.replace(config, text=str(text), hidden=32, lr=0.03, steps=80, every=5)


def losses(run):
    return {step.number: step.held_out for step in run.steps if step.held_out is not None}


def test_the_best_model_is_kept(overfitting, tmp_path):
    run = Run.new(overfitting, str(tmp_path / "run"))
    assert run.train(lambda step: None, lambda: False)
    found = losses(run)
    assert run.best.held_out == min(found.values()) < found[80]
    model, _, _ = snapshot.load_model(str(run.path))
    last, _, _ = snapshot.load_model(str(run.path / LAST))
    differs = [
        (a.numpy() != b.numpy()).any() for a, b in zip(model.parameters(), last.parameters(), strict=True)
    ]
    assert any(differs)
    for again in (run.model, model):
        found = tg.train.evaluate(again, tg.cross_entropy, run.corpus.held_out, carry=True)
        assert found["loss"] / np.log(2) == pytest.approx(run.best.held_out, rel=1e-6)


def test_it_is_the_same_after_an_interruption(overfitting, tmp_path):
    def best(folder, first):
        run = Run.new(overfitting, str(tmp_path / folder))
        calls = iter(range(10**6))
        if not run.train(lambda step: None, lambda: next(calls) == first - 1):
            run = Run.resume(str(tmp_path / folder), {})
            run.train(lambda step: None, lambda: False)
        return {
            name: value.numpy() for name, value in tg.load(run.path / "best.safetensors").items()
        }, losses(run)

    whole = best("whole", 10**6)
    for first in (7, 33):
        parts = best(f"parts {first}", first)
        assert parts[1] == whole[1]
        for name, array in whole[0].items():
            np.testing.assert_array_equal(parts[0][name], array)


def test_patience_ends_it(overfitting, tmp_path):
    run = Run.new(dataclasses.replace(overfitting, patience=3), str(tmp_path / "run"))
    assert run.train(lambda step: None, lambda: False)
    assert run.saved == run.best.number + 15 < 80
    again = Run.resume(str(run.path), {"patience": 0})
    assert again.train(lambda step: None, lambda: False)
    assert again.saved == 80


@pytest.mark.slow
def test_a_short_text_with_default_settings(tmp_path, capsys):
    """12 kB: the last model is much worse than the best one."""
    text = tmp_path / "short.txt"
    from tinygrad_rnn.train.data import read_text

    text.write_text(read_text(None)[:12_000], encoding="utf-8")
    folder = tmp_path / "run"
    assert cli.main(["train", "--text", str(text), "--run", str(folder), "--steps", "500"]) == 0
    rows = [line.split(",") for line in (folder / "log.csv").read_text().splitlines()[1:]]
    held_out = [float(row[4]) for row in rows if row[4]]
    assert held_out[-1] > min(held_out) + 0.1
    assert f"held-out text: {min(held_out):.3f} bits" in capsys.readouterr().out
    assert isinstance(snapshot.load_model(str(folder))[0], tg.nn.Module)
    assert Config.from_json((folder / "config.json").read_text()).steps == 500
