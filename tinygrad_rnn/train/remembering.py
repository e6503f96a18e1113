"""What comes to a model of text from earlier characters, or words: the residuals of one text, and the
gradients of each prediction."""

from __future__ import annotations

from typing import Any

import numpy

from ..data import Vocabulary
from ..derived.losses import cross_entropy
from ..derived.reductions import log_softmax
from ..diagnosis import Memory, Report, flow, memory
from ..errors import DataError
from ..nn.modes import evaluating
from ..ops import Tensor
from ..tape import no_grad
from ..tensor import tensor
from .model import LanguageModel
from .sampling import numbers_of


def flow_of(model: LanguageModel, numbers: Tensor, following: Tensor, states_only: bool = False) -> Report:
    """Follow the residuals back to the first of some tokens. The model is in evaluation mode meanwhile.

    Args:
        numbers, following: what is read, and what follows it: (T, B).
        states_only: as in :func:`tinygrad_rnn.flow`.
    """
    with evaluating(model), numbers._backend.quiet():
        logits, _ = model.read(model.embedding(numbers).detach())
        return flow(cross_entropy(logits, following, reduction="sum"), states_only=states_only)


LIKELIEST = 5
"""So many guesses are told for each place."""


def memory_of(model: LanguageModel, vocabulary: Vocabulary[Any], tokens: Any) -> Memory:
    """The memory of a text.

    Args:
        tokens: its characters, or a list of its words.

    Raises:
        DataError: there are none or too many, or the model has never seen one of them.
    """
    if not tokens:
        raise DataError("memory: the text is empty")
    numbers = numbers_of(tokens, vocabulary)
    backend = model.embedding.weight.backend
    with evaluating(model):
        with no_grad():
            vectors = model.embedding(tensor(numbers, backend=backend))
            outputs, _ = model.recurrent(vectors[:, None])
            scores = log_softmax(model.readout(outputs[:, 0]), axis=-1).numpy()
        likeliest = numpy.argsort(-scores, axis=1)[:, :LIKELIEST]
        following = numpy.append(numbers[1:], likeliest[-1, 0])

        def score(outputs: Tensor, steps: numpy.ndarray) -> Tensor:
            return log_softmax(model.readout(outputs), axis=-1)[numpy.arange(len(steps)), following[steps]]

        found = memory(model.recurrent, vectors, score, tokens=tokens)
    found.guesses = [
        [(vocabulary.tokens[i], float(numpy.exp(row[i]))) for i in few]
        for row, few in zip(scores, likeliest, strict=True)
    ]
    return found
