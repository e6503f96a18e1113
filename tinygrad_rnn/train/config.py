"""What a training run is: every setting once, with its default, its meaning and the values it takes."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
from collections.abc import Callable
from typing import Any

from ..errors import CheckpointError
from .data import Corpus, read_text
from .model import LAYERS, CharacterModel


def whole(least: int) -> Callable[[str], int]:
    """A reader of whole numbers from ``least`` on, for argparse."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
        if value < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, not {value}")
        return value

    return read


def real(least: float, below: float = math.inf, above: bool = False) -> Callable[[str], float]:
    """A reader of finite numbers from ``least`` on (or ``above`` it) and ``below`` another, for argparse."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
        if not (value > least if above else value >= least) or not value < below:
            bound = f"{'above' if above else 'at least'} {least:g}" + ("" if below == math.inf else f" and below {below:g}")
            raise argparse.ArgumentTypeError(f"must be {bound}, not {text}")
        return value

    return read


def _setting(default: Any, meaning: str, **argument: Any) -> Any:
    """A field that argparse can read: the keywords are those of ``add_argument``."""
    if "choices" not in argument:
        argument.setdefault("metavar", "N")
    return dataclasses.field(default=default, metadata={"meaning": meaning, "argument": argument})


@dataclasses.dataclass(frozen=True)
class Config:
    """The settings of a run; the defaults learn English-looking words in about 20 seconds on two cores of a Zen 4 (extra ``fast``)."""

    cell: str = _setting("lstm", "the recurrent cell", choices=tuple(LAYERS))
    hidden: int = _setting(128, "units of each layer", type=whole(1))
    layers: int = _setting(1, "layers on top of each other", type=whole(1))
    embed: int = _setting(32, "numbers that stand for a character", type=whole(1))
    dropout: float = _setting(0.0, "share of units dropped between layers", type=real(0, below=1))
    batch: int = _setting(32, "texts read at the same time", type=whole(1))
    length: int = _setting(32, "time steps that residuals flow back through", type=whole(1))
    steps: int = _setting(1500, "updates of the parameters", type=whole(1))
    lr: float = _setting(0.01, "learning rate at the start; it falls to nothing along a cosine", type=real(0, above=True))
    clip: float = _setting(1.0, "largest norm of the gradient", type=real(0, above=True))
    every: int = _setting(100, "updates from one evaluation and checkpoint to the next", type=whole(1))
    seed: int = _setting(0, "where chance starts from", type=whole(0))
    text: str | None = _setting(
        None, "a UTF-8 file to learn from (default: the Python language reference)", metavar="FILE", type=os.path.abspath
    )
    backend: str = _setting("numpy", "where to compute", choices=("numpy", "cupy"))

    def model(self, characters: int) -> CharacterModel:
        """A fresh model for that many different characters."""
        return CharacterModel(characters, self.cell, self.embed, self.hidden, self.layers, self.dropout)

    def corpus(self) -> Corpus:
        """The text, made ready.

        Raises:
            DataError: it is missing, not a text, or too short.
        """
        return Corpus.of(read_text(self.text), self.batch, self.length)

    def to_json(self) -> str:
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Config:
        """The settings that were written.

        Raises:
            CheckpointError: they are of another version or another program.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"these are not the settings of a run of this version ({error}): train it again") from error
