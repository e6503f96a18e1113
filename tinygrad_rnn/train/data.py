"""Text as numbers: reading it, its characters, and the streams that truncated back-propagation through time
runs along."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy

from .. import arguments, backends
from ..errors import DataError
from ..tape import host_array

HELD_OUT = 0.1
"""The share of the text, at its end, that is never trained on."""


def read_text(path: str | None) -> str:
    """The text of a UTF-8 file; without one, the language reference that comes with Python
    (``pydoc_data.topics``, about 465 kB).

    What is no text is left out: byte order marks, also those inside that joining files leaves, and the ways
    in which systems end a line, which are all one here.

    Raises:
        DataError: the file is missing, cannot be read, is not UTF-8, holds NUL characters, or is empty.
        ArgumentError: there can be no such path.
    """
    if path is None:
        from pydoc_data.topics import topics  # a book: only the default text needs it

        return "".join(topics[name] for name in sorted(topics))
    try:
        text = Path(arguments.path("read_text: path", path)).read_bytes().decode()
    except OSError as error:
        raise DataError(f"cannot read the text {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"the text {path} is not UTF-8 (byte {error.start}): convert it, with iconv for example"
        ) from error
    if "\0" in text:
        raise DataError(
            f"the text {path} holds NUL characters: it is UTF-16, or no text; convert it to UTF-8, with "
            "iconv for example"
        )
    text = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise DataError(f"the text {path} is empty")
    return text


class Vocabulary:
    """The characters of a text in order; a character's number is its place among them."""

    def __init__(self, characters: str) -> None:
        self.characters: str = arguments.text("Vocabulary: characters", characters)
        self._numbers = {character: number for number, character in enumerate(characters)}

    @classmethod
    def of(cls, text: str) -> Vocabulary:
        return cls("".join(sorted(set(arguments.text("Vocabulary.of: text", text)))))

    def __len__(self) -> int:
        return len(self.characters)

    def encode(self, text: str) -> numpy.ndarray:
        """The numbers of characters.

        Raises:
            DataError: a character is none of the vocabulary's.
        """
        text = arguments.text("encode: text", text)
        unknown = sorted(set(text) - self._numbers.keys())
        if unknown:
            raise DataError(
                f"the model has never seen {', '.join(map(repr, unknown))}: its text has only "
                f"{self.characters!r}"
            )
        return numpy.array([self._numbers[character] for character in text], dtype=numpy.int64)

    def decode(self, numbers: numpy.ndarray) -> str:
        """The characters of numbers.

        Raises:
            IndexRangeError: a number is no character's.
        """
        numbers = host_array(numbers)
        if numbers.size and numbers.dtype.kind not in "iu":
            raise arguments.refused("decode: numbers", "whole numbers", numbers)
        backends.get("numpy").within(numbers, "decode: the number", 0, len(self), "")
        return "".join(self.characters[int(number)] for number in numbers.reshape(-1))


class Streams:
    """Characters read by several readers at once, each going on where it was: so a state can be carried from
    window to window.

    The readers start evenly spaced, and one that comes to the end goes on from the start: where they are
    follows from how far they went.
    """

    def __init__(self, numbers: numpy.ndarray, readers: int) -> None:
        self._numbers = numbers
        self.length: int = (len(numbers) - 1) // readers
        """How far each reader goes until all have together seen everything once."""
        self._starts = numpy.arange(readers) * self.length

    def window(self, position: int, length: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The next characters of every reader and, for each, the one that follows it: two arrays (length,
        readers)."""
        places = numpy.arange(position, position + length + 1)[:, None] + self._starts
        numbers = self._numbers[places % len(self._numbers)]
        return numbers[:-1], numbers[1:]


@dataclass(frozen=True)
class Corpus:
    """A text made ready.

    Attributes:
        vocabulary: its characters.
        training: streams over the first part.
        held_out: streams over the last part.
        fingerprint: a word that another text would not have.
    """

    vocabulary: Vocabulary
    training: Streams
    held_out: Streams
    fingerprint: str

    @classmethod
    def of(cls, text: str, readers: int, length: int) -> Corpus:
        """Split a text for that many readers and windows of that length.

        Raises:
            DataError: the text is too short for them.
        """
        text = arguments.text("Corpus.of: text", text)
        readers, length = arguments.size("readers", readers, 1), arguments.size("length", length, 1)
        kept = round(len(text) * HELD_OUT)
        trained = len(text) - kept
        if kept <= readers or trained <= readers * length:
            needed = max(round((readers + 1) / HELD_OUT), round((readers * length + 1) / (1 - HELD_OUT)))
            raise DataError(
                f"the text has {len(text)} characters; a batch of {readers} with windows of {length} needs "
                f"about {needed}: give a "
                "longer text, or smaller --batch and --length"
            )
        vocabulary = Vocabulary.of(text)
        numbers = vocabulary.encode(text)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()
        return cls(
            vocabulary, Streams(numbers[:trained], readers), Streams(numbers[trained:], readers), fingerprint
        )
