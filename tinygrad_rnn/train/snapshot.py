"""What the files of weights in a run's folder say beside them, and a run's model from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from .. import arguments
from ..data import Vocabulary
from ..errors import CheckpointError, DataError
from ..interop import safetensors
from .config import Config
from .data import Corpus
from .folder import BEST, LAST
from .model import LanguageModel

KIND = "tinygrad_rnn model of text, version 2"


def metadata(config: Config, corpus: Corpus) -> dict[str, str]:
    """The words beside the weights: all that a reader of the model must know."""
    return {
        "kind": KIND,
        "config": config.to_json(),
        "vocabulary": corpus.vocabulary.to_json(),
        "text": corpus.fingerprint,
        "characters": repr(corpus.characters),
        "blind": repr(corpus.blind),
    }


def read(path: Path) -> safetensors.Checkpoint:
    """A run's file of weights.

    Raises:
        CheckpointError: it is missing, damaged, or none of a run.
    """
    saved = safetensors.load(path)
    if saved.metadata.get("kind") != KIND:
        raise CheckpointError(
            f"{path} is no checkpoint of a training run of this version; load it with tinygrad_rnn.load"
        )
    return saved


def last_of(path: Path, corpus: Corpus) -> tuple[int, dict[str, Any]]:
    """How many updates a run's last checkpoint has behind it, and its model's weights.

    Raises:
        CheckpointError: it is damaged, or none of a run.
        DataError: the text was another one.
    """
    saved = read(path / LAST)
    if saved.metadata.get("text") != corpus.fingerprint:
        raise DataError(
            f"the text of the run {path} has changed since: give the old one back, or start a new run"
        )
    return progress_of(path, saved)


def progress_of(path: Path, saved: safetensors.Checkpoint) -> tuple[int, dict[str, Any]]:
    """The same of a checkpoint that was read.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        parts = saved.part("fit")
        return int(parts["counts"][0]), dict(parts["model"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise CheckpointError(f"{path / LAST} is no whole checkpoint of a run: {error!r}") from error


def characters_of(saved: safetensors.Checkpoint) -> float:
    """How many characters a token of the held-out text has in the mean.

    Raises:
        CheckpointError: the file does not say so.
    """
    try:
        return float(saved.metadata.get("characters", ""))
    except ValueError as error:
        raise CheckpointError(f"the checkpoint does not tell how long its words are: {error}") from error


def blind_of(saved: safetensors.Checkpoint) -> float | None:
    """The bits that a token takes whoever knows only frequencies; None of a run that does not say so.

    Raises:
        CheckpointError: what the file says is no number.
    """
    try:
        return float(saved.metadata["blind"]) if "blind" in saved.metadata else None
    except ValueError as error:
        raise CheckpointError(f"the checkpoint tells no blind guess: {error}") from error


def load_model(run: str, cell: Any = None) -> tuple[LanguageModel, Vocabulary[Any], Config]:
    """A run's best model, its characters or words, and its settings, from the run's folder; or the model of
    one of its files of weights.

    Args:
        cell: what makes the cell, or its name, if it is code of somebody's own.

    Raises:
        CheckpointError: there is no checkpoint of a run, or it does not fit together.
        ArgumentError: the cell is somebody's own code, and was not given.
    """
    path = Path(arguments.path("run", run))
    kept = "model"
    if os.path.isdir(path):
        kept = "best"
        path = path / (BEST if os.path.isfile(path / BEST) else LAST)
    saved = read(path)
    config = Config.from_json(saved.metadata.get("config", ""))
    vocabulary = Vocabulary.from_json(saved.metadata.get("vocabulary", ""))
    model = config.model(len(vocabulary), config.maker(cell))
    if safetensors.STATE in saved.metadata:
        parts = saved.part("fit")
        model.load_state_dict(parts[kept] or parts["model"])
    else:
        model.load_state_dict(saved)
    return model, vocabulary, config
