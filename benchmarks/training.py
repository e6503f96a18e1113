"""Training a character model, as ``tinygrad-rnn train`` does with its defaults, beside the same loop written
with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_rnn.train.config import Config
from tinygrad_rnn.train.loop import Trainer

from . import timing

LIMIT = 1.2
COMPARED = 20
"""Updates whose losses are compared before anything is timed."""


def their_loop(trainer: Trainer) -> Callable[[], float]:
    """One update with PyTorch, from the trainer's weights and text: the loss, summed over the window."""
    import torch

    config, corpus = trainer.config, trainer.corpus
    count = len(corpus.vocabulary)
    model = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(count, config.embed),
            "recurrent": torch.nn.LSTM(config.embed, config.hidden, config.layers),
            "readout": torch.nn.Linear(config.hidden, count),
        }
    )
    model.load_state_dict(
        {name: torch.tensor(np.asarray(w)) for name, w in trainer.model.state_dict().items()}
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    state: Any = None
    done = 0

    def step() -> float:
        nonlocal state, done
        numbers, following = map(
            torch.from_numpy, corpus.training.window(done * config.length, config.length)
        )
        optimizer.zero_grad()
        output, state = model["recurrent"](model["embedding"](numbers), state)
        loss = torch.nn.functional.cross_entropy(
            model["readout"](output).flatten(0, 1), following.flatten(), reduction="sum"
        )
        (loss / (config.length * config.batch)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        schedule.step()
        state = tuple(part.detach() for part in state)
        done += 1
        return loss.item()

    return step


def compare(trainer: Trainer, theirs: Callable[[], float]) -> None:
    """Both make the same updates."""
    per_bit = trainer.config.length * trainer.config.batch * np.log(2)
    for number in range(COMPARED):
        a, b = trainer.step().bits, theirs() / per_bit
        assert abs(a - b) <= 1e-3 * abs(b), (
            f"update {number}: the losses differ, {a} and {b} bits per character"
        )


def main(seconds: float = 2.0) -> None:
    config = Config(steps=1_000_000)
    trainer = Trainer(config, config.corpus())
    theirs = their_loop(trainer)
    compare(trainer, theirs)
    found = timing.medians({"ours": trainer.step, "torch": theirs}, seconds)
    speeds = {
        name: config.length * config.batch / milliseconds * 1000 for name, milliseconds in found.items()
    }
    print(
        f"training a character model, LSTM({config.embed}, {config.hidden}), {config.batch} × "
        f"{config.length} characters an update"
    )
    print(timing.machine())
    for name, speed in speeds.items():
        print(f"{name:<14}{speed:12,.0f} characters/s")
    ratio = speeds["ours"] / speeds["torch"]
    print(f"  ours / torch {ratio:5.2f}  (at least {LIMIT}{'' if ratio >= LIMIT else ', missed'})")


if __name__ == "__main__":
    main()
