"""What of a run is in its checkpoint: everything that its next step depends on, so that it goes on bit for
bit."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import arguments, ops, random, tree
from ..data import Vocabulary
from ..errors import CheckpointError, DataError, TrainingError
from ..interop import safetensors
from .config import Config
from .folder import BEST
from .loop import Trainer
from .model import CharacterModel

FILE = "checkpoint.safetensors"
KIND = "tinygrad_rnn character model, version 1"


def save(path: Path, trainer: Trainer) -> None:
    """Write a run's checkpoint.

    Raises:
        TrainingError: a parameter is not finite.
        CheckpointError: it cannot be written. In both cases the one before stays.
    """
    for name, parameter in trainer.model.named_parameters():
        if not ops.all(ops.isfinite(parameter)):
            raise TrainingError(
                f"the parameter {name} is not finite after step {trainer.done}: try a smaller --lr or --clip"
            )
    optimizer = trainer.optimizer.state_dict()
    tensors = {
        **_named("model", trainer.model.state_dict()),
        **_named("optimizer", optimizer.pop("buffers")),
        **_named("state", {} if trainer.state is None else dict(enumerate(tree.leaves(trainer.state)))),
    }
    progress = {
        "done": trainer.done,
        "optimizer": optimizer,
        "schedule": trainer.schedule.state_dict(),
        "chance": random.get_state(),
        "text": trainer.corpus.fingerprint,
    }
    safetensors.save(path, tensors, {**_words(trainer), "progress": json.dumps(progress)})


def save_model(path: Path, trainer: Trainer) -> None:
    """Write the model alone, as it is now.

    Raises:
        CheckpointError: it cannot be written; the one before stays.
    """
    safetensors.save(path, _named("model", trainer.model.state_dict()), _words(trainer))


def _words(trainer: Trainer) -> dict[str, str]:
    """What a reader of a model must know."""
    return {
        "kind": KIND,
        "config": trainer.config.to_json(),
        "characters": trainer.corpus.vocabulary.characters,
    }


def resume(run: str, changes: dict[str, Any]) -> Trainer:
    """The trainer of a run as it was when its checkpoint was written.

    Args:
        run: the run's folder.
        changes: settings to change.

    Raises:
        CheckpointError: there is no checkpoint of a run, or it does not fit together.
        DataError: the text is gone or has changed.
    """
    saved, config = _read(run)
    config = dataclasses.replace(config, **changes)
    trainer = Trainer(config, config.corpus())
    progress = json.loads(saved.metadata["progress"])
    if trainer.corpus.fingerprint != progress["text"]:
        raise DataError(
            f"the text of the run {run} has changed since: give the old one back, or start a new run"
        )
    trainer.model.load_state_dict(_part(saved, "model"))
    trainer.optimizer.load_state_dict({**progress["optimizer"], "buffers": _part(saved, "optimizer")})
    trainer.schedule.load_state_dict(progress["schedule"])
    state = _part(saved, "state")
    leaves = [state[str(i)].to(config.backend) for i in range(len(state))]
    trainer.state = tuple(leaves) if len(leaves) > 1 else leaves[0] if leaves else None
    trainer.done = progress["done"]
    random.set_state(progress["chance"])
    return trainer


def load_model(run: str) -> tuple[CharacterModel, Vocabulary[str]]:
    """A run's best model and its characters, from the run's folder; or the model of a checkpoint.

    Raises:
        CheckpointError: there is no checkpoint of a run, or it does not fit together.
    """
    model, vocabulary, _ = load_run_model(run)
    return model, vocabulary


def load_run_model(run: str) -> tuple[CharacterModel, Vocabulary[str], Config]:
    """A run's best model, its characters and its settings."""
    best = Path(arguments.path("run", run)) / BEST
    saved, config = _read(str(best) if os.path.isfile(best) else run)
    vocabulary = Vocabulary(saved.metadata["characters"])
    model = config.model(len(vocabulary))
    model.load_state_dict(_part(saved, "model"))
    return model, vocabulary, config


def _read(run: str) -> tuple[safetensors.Checkpoint, Config]:
    path = Path(arguments.path("run", run))
    path = path / FILE if os.path.isdir(path) else path
    saved = safetensors.load(path)
    if saved.metadata.get("kind") != KIND:
        raise CheckpointError(
            f"{path} is no checkpoint of a training run of this version; load it with tinygrad_rnn.load"
        )
    return saved, Config.from_json(saved.metadata["config"])


def _named(part: str, tensors: Mapping[Any, Any]) -> dict[str, Any]:
    return {f"{part}.{name}": value for name, value in tensors.items()}


def _part(saved: safetensors.Checkpoint, part: str) -> dict[str, Any]:
    return {
        name.removeprefix(f"{part}."): value for name, value in saved.items() if name.startswith(f"{part}.")
    }
