"""What a finished training left, as objects again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .. import arguments, nn
from ..data import Vocabulary
from ..diagnosis import Memory
from ..errors import ArgumentError, CheckpointError
from ..interop import safetensors
from . import snapshot
from .data import plain, tokens_of
from .folder import LAST
from .history import History
from .model import LanguageModel
from .remembering import memory_of
from .steps import best_of, read_log, rows


class LoadedRun:
    """A training's best model, and how it came about. See :func:`load_run`.

    >>> tg.train.LoadedRun(tg.nn.Linear(2, 1), tg.train.History(), None).history
    <history: nothing evaluated yet>

    Attributes:
        model: in evaluation mode.
        history: a line for each evaluation; of ``tinygrad-rnn train`` one for each update, as in its log.
        vocabulary: the characters, or words, of a model of ``tinygrad-rnn train``; None for any other.
    """

    def __init__(self, model: nn.Module, history: History, vocabulary: Vocabulary[Any] | None) -> None:
        self.model: nn.Module = model
        self.history: History = history
        self.vocabulary: Vocabulary[Any] | None = vocabulary

    def memory(self, text: str) -> Memory:
        """What a model of text still has of earlier characters, or words, when it predicts each one of a
        text: for the page of it ``run.memory(text).save("memory.html")``. See :func:`tinygrad_rnn.memory`; a
        score is the log-probability of what comes next, after the last one that of what is likeliest.

        Args:
            text: any; at most 5,000 characters or words.

        Raises:
            DataError: it is empty or too long, or has a character that the model has never seen.
            ArgumentError: the model is none of text.
        """
        text = arguments.text("memory: text", text)
        if self.vocabulary is None or not isinstance(self.model, LanguageModel):
            raise ArgumentError("memory: this model is none of text: call tg.memory(model, inputs)")
        return memory_of(self.model, self.vocabulary, tokens_of(plain(text), self.vocabulary.of_words))


def load_run(
    folder: str | os.PathLike[str],
    model: nn.Module | None = None,
    cell: Callable[[int, int], Any] | None = None,
) -> LoadedRun:
    """The best model of a training, from its folder: of ``tinygrad-rnn train``, or of :func:`fit`.

    >>> model, batches = tg.nn.Linear(2, 1), [(tg.ones((4, 2)), tg.ones((4, 1)))]
    >>> history = tg.train.fit(model, tg.mse_loss, batches, epochs=2, folder="run", progress=False)
    >>> run = tg.train.load_run("run", tg.nn.Linear(2, 1))
    >>> len(run.history)
    2

    Args:
        folder: the training's.
        model: a fresh model like the one that was trained, which takes its parameters. A run of
            ``tinygrad-rnn train`` makes its own.
        cell: what makes the cell of a run of ``tinygrad-rnn train --cell module:Class``: that class. No file
            has code run.

    Raises:
        CheckpointError: there is no training in the folder, it is another model's, or none was given.
        ArgumentError: the run's cell is somebody's own code, and was not given.
    """
    path = Path(arguments.path("load_run: folder", folder))
    model = arguments.optional(arguments.instance, "load_run: model", model, nn.Module)
    cell = arguments.optional(arguments.function, "load_run: cell", cell)
    if not os.path.isfile(path / LAST):
        raise CheckpointError(f"{path} holds no training: there is no {LAST}")
    saved = safetensors.load(path / LAST)
    if saved.metadata.get("kind") == snapshot.KIND:
        if model is not None:
            raise CheckpointError(
                f"{path} is a run of tinygrad-rnn train, which has a model: leave model out"
            )
        made, vocabulary, config = snapshot.load_model(str(path), cell)
        steps = read_log(path)
        best = best_of(steps)
        history = History(rows(steps, config.unit), None if best is None else best.number - 1)
        return LoadedRun(made.eval(), history, vocabulary)
    if model is None:
        raise CheckpointError(f"{path} is a training by fit: give a fresh model for its parameters, model=")
    state = saved.part("fit")
    history = History()
    try:
        model.load_state_dict(state["best"] or state["average"] or state["model"])
        history.load_state_dict(state["history"])
    except (KeyError, TypeError) as error:
        raise CheckpointError(f"{path / LAST} is no whole checkpoint of a training: {error!r}") from error
    return LoadedRun(model.eval(), history, None)
