"""Training a model of text, as ``tinygrad-rnn train`` does with its defaults, beside the same loop written
with PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import tinygrad_rnn as tg
from tinygrad_rnn import train
from tinygrad_rnn.train.config import Config

from . import timing

LIMIT = 1.2
COMPARED = 20
"""Updates whose losses are compared before anything is timed."""

BLOCK = 40
"""Updates that are timed together."""


class Task:
    """What ``tinygrad-rnn train`` trains, and ``fit`` as it calls it."""

    def __init__(self, config: Config) -> None:
        tg.random.seed(config.seed)
        self.config = config
        self.corpus = config.corpus()
        self.model = config.model(len(self.corpus.vocabulary))
        self.optimizer, self.schedule = config.optimiser(self.model)

    def updates(self, count: int) -> list[float]:
        """Make so many: the loss of each."""
        losses: list[float] = []

        class Watch:
            def on_update(self, training: train.Training) -> None:
                losses.append(training.row["loss"])
                if len(losses) == count:
                    training.stop()

        train.fit(
            self.model,
            tg.cross_entropy,
            self.corpus.training,
            steps=self.config.steps,
            optimizer=self.optimizer,
            schedule=self.schedule,
            clip=self.config.clip,
            carry=True,
            every=self.config.steps,
            callbacks=[Watch()],
            progress=False,
        )
        return losses


def their_loop(task: Task) -> Callable[[], float]:
    """One update with PyTorch, from the same weights and text: the mean loss of the window."""
    import torch

    config, count = task.config, len(task.corpus.vocabulary)
    model = torch.nn.ModuleDict(
        {
            "embedding": torch.nn.Embedding(count, config.embed),
            "recurrent": torch.nn.LSTM(config.embed, config.hidden, config.layers),
            "readout": torch.nn.Linear(config.hidden, count),
        }
    )
    model.load_state_dict({name: torch.tensor(np.asarray(w)) for name, w in task.model.state_dict().items()})
    optimizer = torch.optim.Adam(model.parameters(), lr=config.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    state: Any = None
    done = 0

    def step() -> float:
        nonlocal state, done
        numbers, following = map(
            torch.from_numpy, task.corpus.streams.window(done * config.length, config.length)
        )
        optimizer.zero_grad()
        output, state = model["recurrent"](model["embedding"](numbers), state)
        loss = torch.nn.functional.cross_entropy(model["readout"](output).flatten(0, 1), following.flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step()
        schedule.step()
        state = tuple(part.detach() for part in state)
        done += 1
        return loss.item()

    return step


def compare(task: Task, theirs: Callable[[], float]) -> None:
    """Both make the same updates."""
    for number, ours in enumerate(task.updates(COMPARED)):
        loss = theirs()
        assert abs(ours - loss) <= 1e-3 * abs(loss), f"update {number}: the losses differ, {ours} and {loss}"


def main(seconds: float = 2.0) -> None:
    config = Config(steps=1_000_000)
    task = Task(config)
    theirs = their_loop(task)
    compare(task, theirs)
    found = timing.medians(
        {"ours": lambda: task.updates(BLOCK), "torch": lambda: [theirs() for _ in range(BLOCK)]}, seconds
    )
    speeds = {
        name: BLOCK * config.length * config.batch / milliseconds * 1000
        for name, milliseconds in found.items()
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
