"""Text from a trained model of text, one character or word after the other."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from .. import arguments
from ..data import Vocabulary
from ..errors import ArgumentWarning
from ..nn.modes import evaluating
from ..tape import no_grad
from ..tensor import tensor
from .data import plain, tokens_of
from .model import LanguageModel


@no_grad()
def sample(
    model: LanguageModel,
    vocabulary: Vocabulary[Any],
    length: int = 600,
    temperature: float = 0.7,
    prompt: str = "",
    seed: int = 0,
    top_k: int | None = None,
    stop: str = "",
    words: bool = False,
) -> str:
    """The prompt and ``length`` characters, or words, that the model thinks could follow.

    Args:
        temperature: below 1 the likely characters become likelier, above 1 rare ones come oftener; at 0
            always the likeliest.
        seed: the same seed, the same text. The run's own chance is not touched.
        top_k: draw among so many of the likeliest only; None among all.
        stop: end where this has been written, though it be shorter than ``length``; "" nowhere.
        words: the model is one of words.

    Raises:
        DataError: the prompt has a character that the model has never seen.
        ArgumentError: length, temperature, prompt, seed, top_k or stop cannot be used.
    """
    arguments.instance("sample: model", model, LanguageModel)
    arguments.instance("sample: vocabulary", vocabulary, Vocabulary)
    length, temperature = (
        arguments.size("sample: length", length),
        arguments.rate("sample: temperature", temperature),
    )
    prompt, seed = arguments.text("sample: prompt", prompt), arguments.seed("sample: seed", seed)
    top_k = arguments.optional(arguments.size, "sample: top_k", top_k, 1)
    stop = arguments.text("sample: stop", stop)
    tokens = tokens_of(plain(prompt) or _first(vocabulary), arguments.flag("sample: words", words))
    given = numbers_of(tokens, vocabulary)
    if vocabulary.unknown is not None and (given == vocabulary.encode([vocabulary.unknown])).any():
        said = f"the model has not read all words of the prompt: it takes those for {vocabulary.unknown}"
        warnings.warn(f"sample: {said}", ArgumentWarning, stacklevel=3)
    chance, written = numpy.random.default_rng(seed), ""

    def draw(scores: numpy.ndarray) -> int:
        return _draw(_known(scores, vocabulary), temperature, chance, top_k)

    with evaluating(model):
        for number in itertools.islice(_numbers(model, given, draw), length):
            token = vocabulary.tokens[number]
            written += token
            if stop and stop in written[-len(stop) - len(token) :]:
                return prompt + written[: written.index(stop) + len(stop)]
    return prompt + written


def _numbers(
    model: LanguageModel, given: numpy.ndarray, draw: Callable[[numpy.ndarray], int]
) -> Iterator[int]:
    """What follows, one after the other, for ever."""
    backend = model.embedding.weight.backend
    logits, state = model(tensor(given[:, None], backend=backend))
    scores, stepper = logits.numpy()[-1, 0], model.recurrent.stepper(state)
    while True:
        number = draw(scores)
        yield number
        scores = model.readout(stepper(model.embedding(tensor([number], backend=backend)))).numpy()[0]


def numbers_of(tokens: Any, vocabulary: Vocabulary[Any]) -> numpy.ndarray:
    """The numbers of a text's characters, or of a list of its words.

    Raises:
        DataError: the model has never seen one of them.
    """
    words = isinstance(tokens, list)
    return vocabulary.encode([_as_read(token, vocabulary) for token in tokens] if words else tokens)


def _as_read(token: str, vocabulary: Vocabulary[Any]) -> str:
    """A word with a space before it, or without, where it was read only so."""
    for spelling in (token, f" {token}", token.lstrip(" ")):
        if spelling in vocabulary.tokens:
            return spelling
    return token


def _first(vocabulary: Vocabulary[Any]) -> str:
    """What stands before a text without a prompt: a new line, if there is one."""
    return (
        "\n" if "\n" in vocabulary.tokens else next(t for t in vocabulary.tokens if t != vocabulary.unknown)
    )


def _known(scores: numpy.ndarray, vocabulary: Vocabulary[Any]) -> numpy.ndarray:
    """Nobody wants to read the token that stands for all unknown ones."""
    if vocabulary.unknown is None:
        return scores
    unknown = numpy.array([token == vocabulary.unknown for token in vocabulary.tokens])
    return numpy.where(unknown, -numpy.inf, scores)


def _draw(
    logits: numpy.ndarray, temperature: float, chance: numpy.random.Generator, top_k: int | None = None
) -> int:
    if temperature == 0:
        return int(logits.argmax())
    if top_k is not None and top_k < len(logits):
        least = numpy.partition(logits, -top_k)[-top_k]
        logits = numpy.where(logits < least, -numpy.inf, logits)
    weights = numpy.exp((logits - logits.max()) / numpy.float64(temperature))
    return int(chance.choice(len(weights), p=weights / weights.sum()))
