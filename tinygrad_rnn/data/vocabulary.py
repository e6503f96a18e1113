"""Characters, words and other tokens as class numbers."""

from __future__ import annotations

import collections
import json
from typing import Any, Generic, TypeVar, overload

import numpy

from .. import arguments, backends
from ..errors import ArgumentError, CheckpointError, DataError
from ..ops import ArrayLike
from ..tape import host_array

Text = TypeVar("Text", str, "list[str]")
"""What a vocabulary reads: a text, character by character, or a list of tokens."""

SHOWN = 10
"""So many unknown tokens are named in an error."""


class Vocabulary(Generic[Text]):
    """Tokens in order; a token's number is its place among them. Of a text the tokens are its characters, of
    a list its strings: words, or pieces of them.

    >>> letters = tg.data.Vocabulary.of("banana")
    >>> letters.encode("nab").tolist(), letters.decode(np.array([2, 0]))
    ([2, 0, 1], 'na')
    >>> words = tg.data.Vocabulary.of("the cat and the dog".split(), unknown="<unk>")
    >>> words.decode(words.encode(["the", "cow"]))
    ['the', '<unk>']

    Class numbers go into :class:`tinygrad_rnn.nn.Embedding` as they are, or as vectors of
    :func:`tinygrad_rnn.one_hot`.

    Args:
        tokens: a text, or a list of strings; each once.
        unknown: the token among them that stands for all that are not.

    Attributes:
        tokens: tuple of strings, in the order of their numbers.
        unknown: the token that stands for others, or None.
        of_words: whether it reads lists of tokens, and not texts by characters.

    Raises:
        ArgumentError: tokens are no strings, one stands there twice, or ``unknown`` does not.
    """

    @overload
    def __init__(self: Vocabulary[str], tokens: str, unknown: str | None = None) -> None: ...

    @overload
    def __init__(
        self: Vocabulary[list[str]], tokens: list[str] | tuple[str, ...], unknown: str | None = None
    ) -> None: ...

    def __init__(self, tokens: Any, unknown: str | None = None) -> None:
        self.of_words: bool = not isinstance(tokens, str)
        self.tokens: tuple[str, ...] = _strings("Vocabulary: tokens", tokens)
        self.unknown: str | None = arguments.optional(arguments.text, "Vocabulary: unknown", unknown)
        self._numbers = {token: number for number, token in enumerate(self.tokens)}
        if len(self._numbers) < len(self.tokens):
            twice = next(token for token, count in collections.Counter(self.tokens).items() if count > 1)
            raise ArgumentError(
                f"Vocabulary: tokens has {arguments.shown(twice)} twice: write Vocabulary.of(…)"
            )
        if unknown is not None and unknown not in self._numbers:
            raise ArgumentError(
                f"Vocabulary: unknown is {arguments.shown(unknown)}, which is none of the tokens: "
                "Vocabulary.of puts it before them"
            )

    @overload
    @classmethod
    def of(cls, text: str, unknown: str | None = None, least: int = 1) -> Vocabulary[str]: ...

    @overload
    @classmethod
    def of(
        cls, text: list[str] | tuple[str, ...], unknown: str | None = None, least: int = 1
    ) -> Vocabulary[list[str]]: ...

    @classmethod
    def of(cls, text: Any, unknown: str | None = None, least: int = 1) -> Vocabulary[Any]:
        """The tokens of a text or a list, sorted.

        Args:
            text: a string, whose characters they are; or a list of strings.
            unknown: a token for all others: number 0. Of a text a single character, such as ``"\\ufffd"``.
            least: how often a token must stand in the text; rarer ones are unknown.

        Raises:
            ArgumentError: an argument has a value that it cannot have.
        """
        found = collections.Counter(_strings("Vocabulary.of: text", text))
        unknown = arguments.optional(arguments.text, "Vocabulary.of: unknown", unknown)
        least = arguments.whole("Vocabulary.of: least", least, 1)
        tokens = sorted(token for token, count in found.items() if count >= least and token != unknown)
        if unknown is not None:
            tokens.insert(0, unknown)
        if not isinstance(text, str):
            return Vocabulary(tokens, unknown)
        if unknown is not None and len(unknown) != 1:
            raise arguments.refused("Vocabulary.of: unknown", "one character, as text is characters", unknown)
        return Vocabulary("".join(tokens), unknown)

    @property
    def characters(self) -> str:
        """The tokens, one after the other."""
        return "".join(self.tokens)

    def __len__(self) -> int:
        return len(self.tokens)

    def encode(self, text: Text) -> numpy.ndarray:
        """The numbers of a text's characters, or of a list's tokens: (N,) int64.

        Raises:
            DataError: a token is none of the vocabulary's, and there is no unknown one.
            ArgumentError: text is no string, or no list of strings where tokens are such.
        """
        if self.of_words:
            tokens: Any = _strings("encode: text", text, "a list of strings: split it into tokens first")
        else:
            tokens = arguments.text("encode: text", text)
        if self.unknown is not None:
            other = self._numbers[self.unknown]
            return numpy.array([self._numbers.get(token, other) for token in tokens], dtype=numpy.int64)
        unknown = sorted(set(tokens) - self._numbers.keys())
        if unknown:
            raise DataError(self._never_seen(unknown))
        return numpy.array([self._numbers[token] for token in tokens], dtype=numpy.int64)

    def _never_seen(self, unknown: list[str]) -> str:
        if not self.of_words:
            return (
                f"the model has never seen {', '.join(map(repr, unknown))}: its text has only "
                f"{self.characters!r}"
            )
        named = ", ".join(map(repr, unknown[:SHOWN])) + (", …" if len(unknown) > SHOWN else "")
        return f"encode: the vocabulary has no {named}: give Vocabulary.of more text, or an unknown= token"

    def decode(self, numbers: ArrayLike) -> Text:
        """The text of numbers: a string where tokens are characters, else a list.

        Raises:
            IndexRangeError: a number is no token's.
        """
        numbers = host_array(numbers)
        if numbers.size and numbers.dtype.kind not in "iu":
            raise arguments.refused("decode: numbers", "whole numbers", numbers)
        backends.get("numpy").within(numbers, "decode: the number", 0, len(self), "")
        tokens = [self.tokens[int(number)] for number in numbers.reshape(-1)]
        text: Any = tokens if self.of_words else "".join(tokens)
        return text

    def to_json(self) -> str:
        """As a text, for a file or the words beside weights: ``tg.save(path, model, {"vocabulary": …})``.

        >>> text = tg.data.Vocabulary.of("banana").to_json()
        >>> tg.data.Vocabulary.from_json(text).characters
        'abn'
        """
        tokens = self.tokens if self.of_words else self.characters
        return json.dumps({"tokens": tokens, "unknown": self.unknown})

    @staticmethod
    def from_json(text: str) -> Vocabulary[Any]:
        """The vocabulary that :meth:`to_json` wrote.

        Raises:
            CheckpointError: the text is none of a vocabulary.
        """
        text = arguments.text("Vocabulary.from_json: text", text)
        try:
            written = json.loads(text)
            if not isinstance(written, dict) or written.keys() != {"tokens", "unknown"}:
                raise ValueError("there are no tokens")
            return Vocabulary(**written)
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"Vocabulary.from_json: text is none of a vocabulary: {error}") from error


def _strings(what: str, value: Any, expected: str = "a string or a list of strings") -> tuple[str, ...]:
    """The characters of a text, or the strings of a list."""
    if isinstance(value, str) and expected.startswith("a string"):
        return tuple(value)
    parts = arguments.several(what, value, expected)
    for i, part in enumerate(parts):
        arguments.text(f"{what}[{i}]", part)
    return parts


__all__ = ["Vocabulary"]
