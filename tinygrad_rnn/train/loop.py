"""Truncated back-propagation through time: windows of a stream, the state carried from one to the next and
cut off the tape between them.

Everything that a step depends on is in a :class:`Trainer` and comes back from its checkpoint: parameters,
optimiser, carried state, chance, and the number of steps done, which the place in the text and the learning
rate follow from. So a resumed run goes on bit for bit.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy

from .. import arguments, backends, nn, optim, random
from ..data.streams import Streams
from ..derived.losses import cross_entropy
from ..diagnosis import Report, flow
from ..errors import TrainingError
from ..ops import Tensor
from ..tape import no_grad
from ..tensor import tensor
from .config import Config
from .data import Corpus
from .model import CharacterModel
from .update import update

_ADVICE = "try a smaller --lr or --clip"


@dataclasses.dataclass(frozen=True)
class Step:
    """What one update tells.

    Attributes:
        number: how many updates were made, with this one.
        bits: the loss in bits per character, before the update.
        norm: the norm of the gradient, before clipping.
        rate: the learning rate.
        held_out: the loss on the held-out text after the update, where it was measured.
        horizon: how many steps back 1 % of the residual reaches, as it was looked at last.
        seconds: how long the run took so far.
    """

    number: int
    bits: float
    norm: float
    rate: float
    held_out: float | None = None
    horizon: int | None = None
    seconds: float | None = None


def best_of(steps: Iterable[Step]) -> Step | None:
    """The step whose model knew the held-out text best; None where it was not measured."""
    measured = [(step.held_out, i, step) for i, step in enumerate(steps) if step.held_out is not None]
    return min(measured)[-1] if measured else None


class Trainer:
    """A model and all that its training needs to go on.

    Attributes:
        done: how many updates were made.
        state: what the recurrent layers carry to the next window; None before the first.
    """

    def __init__(self, config: Config, corpus: Corpus) -> None:
        self.config: Config = arguments.instance("Trainer: config", config, Config)
        self.corpus: Corpus = arguments.instance("Trainer: corpus", corpus, Corpus)
        random.seed(config.seed)
        self.backend: backends.Backend = backends.get(config.backend)
        with backends.use_backend(config.backend):
            self.model: CharacterModel = config.model(len(corpus.vocabulary))
        self.optimizer: optim.Optimizer
        self.schedule: optim.Schedule
        self.optimizer, self.schedule = config.optimiser(self.model)
        self.state: Any = None
        self.done: int = 0

    def step(self) -> Step:
        """One update.

        Raises:
            TrainingError: the loss or the gradient is not finite; nothing was updated.
        """
        config, rate = self.config, self.optimizer.lr
        if not self.model.training:
            self.model.train()
        with self.backend.alone(), self.backend.quiet():  # a run that diverges says so itself
            loss, state = self.loss(
                self.corpus.training, self.done * config.length, config.length, self.state
            )
            bits = self._bits(loss.item(), config.length, "loss")
            mean = loss / (config.length * config.batch)
            try:
                norm = update(mean, self.optimizer, config.clip, self.schedule)
            except TrainingError as error:
                raise TrainingError(f"{error} at step {self.done + 1}: {_ADVICE}") from error
        self.state = nn.detach(state)
        self.done += 1
        return Step(self.done, bits, norm, rate)

    @no_grad()
    def evaluate(self) -> float:
        """The loss on the held-out text in bits per character.

        Raises:
            TrainingError: it is not finite.
        """
        self.model.eval()
        streams, length = self.corpus.held_out, self.config.length
        total, state = 0.0, None
        with self.backend.alone(), self.backend.quiet():
            for position in range(0, streams.length, length):
                loss, state = self.loss(streams, position, min(length, streams.length - position), state)
                total += loss.item()
        return self._bits(total, streams.length, "held-out loss")

    def loss(self, streams: Streams, position: int, length: int, state: Any = None) -> tuple[Tensor, Any]:
        """The loss summed over all streams and time steps of a window, and the state at its end."""
        numbers, following = streams.window(position, length)
        logits, state = self.model(self._tensor(numbers), state)
        return cross_entropy(logits, self._tensor(following), reduction="sum"), state

    def flow(self, readers: int | None = None, states_only: bool = False) -> Report:
        """Follow the residuals back to the first character of the window that was learned from last. Training
        goes on as if nothing had been looked at.

        Args:
            readers: look at so many of the streams only.
            states_only: as in :func:`tinygrad_rnn.flow`.
        """
        self.model.eval()
        numbers, following = self.corpus.training.window(
            max(0, self.done - 1) * self.config.length, self.config.length
        )
        with self.backend.quiet():
            vectors = self.model.embedding(self._tensor(numbers[:, :readers])).detach()
            logits, _ = self.model.read(vectors)
            return flow(
                cross_entropy(logits, self._tensor(following[:, :readers]), reduction="sum"),
                states_only=states_only,
            )

    def _tensor(self, numbers: numpy.ndarray) -> Tensor:
        return tensor(numbers, backend=self.config.backend)

    def _bits(self, loss: float, length: int, what: str) -> float:
        """Bits per character, from a loss summed over every reader and that many time steps."""
        return self._finite(loss / (length * self.config.batch) / math.log(2), what)

    def _finite(self, value: float, what: str) -> float:
        if not math.isfinite(value):
            raise TrainingError(f"the {what} became {value} at step {self.done + 1}: {_ADVICE}")
        return value
