"""Texts to learn from: reading one, and what is trained on of it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from .. import arguments
from ..data import Vocabulary
from ..data.streams import Streams, Windows
from ..errors import DataError

HELD_OUT = 0.1
"""The share of the text, at its end, that is never trained on, where nobody says another one."""


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
    text = plain(text)
    if not text:
        raise DataError(f"the text {path} is empty")
    return text


_WORDS = re.compile(r" ?\w+| ?[^\w\s]+|\n|[^\S\n]+")
"""A word, or signs, with the space before them; or other spaces: together they are the text again."""

UNKNOWN = "<unk>"
"""What stands for the words that the text has once."""


def tokens_of(text: str, words: bool) -> Any:
    """What a text is read by: its characters, or a list of its words and signs."""
    return _WORDS.findall(text) if words else text


def plain(text: str) -> str:
    """A text without byte order marks, whose lines all end alike."""
    return text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True)
class Corpus:
    """A text made ready.

    Attributes:
        vocabulary: its characters, or words.
        training: windows over the first part.
        held_out: windows over the last part.
        streams: what the windows over the first part are cut from.
        fingerprint: a word that another text would not have.
        characters: how many a token of the held-out text has in the mean: 1, or the length of a word.
        blind: the bits that a token of the first part takes whoever knows no more than how often each of them
            stands there.
    """

    vocabulary: Vocabulary[Any]
    training: Windows
    held_out: Windows
    streams: Streams
    fingerprint: str
    characters: float
    blind: float

    @classmethod
    def of(
        cls,
        text: str,
        readers: int,
        length: int,
        held_out: float | str = HELD_OUT,
        words: bool = False,
    ) -> Corpus:
        """Split a text for that many readers and windows of that length.

        Args:
            text: to learn from.
            readers: how many read it at the same time.
            length: of their windows.
            held_out: the share of the text, at its end, that is never trained on; or another text.
            words: read it by words, not by characters; those that stand there once are :data:`UNKNOWN`.

        Raises:
            DataError: a text is too short for them, or the other one has a character that the text lacks.
        """
        text = arguments.text("Corpus.of: text", text)
        readers, length = arguments.size("readers", readers, 1), arguments.size("length", length, 1)
        tokens = tokens_of(text, arguments.flag("Corpus.of: words", words))
        written = hashlib.sha256(text.encode())
        if isinstance(held_out, str):
            training, kept = tokens, tokens_of(held_out, words)
            written.update(b"\0" + held_out.encode())
        else:
            share = arguments.probability("Corpus.of: held_out", held_out)
            training = tokens[: len(tokens) - round(len(tokens) * share)]
            kept = tokens[len(training) :]
            written.update(f"\0{share}".encode())
        if len(kept) <= readers or len(training) <= readers * length:
            apart = len(kept) if isinstance(held_out, str) else None
            raise _too_short(
                len(tokens), apart, readers, length, held_out, "words" if words else "characters"
            )
        vocabulary = Vocabulary.of(training, UNKNOWN, 2) if words else Vocabulary.of(tokens)
        if words and len(vocabulary) == 1:
            raise DataError("no word of the text stands there twice: read it without --words")
        first, last = vocabulary.encode(training), vocabulary.encode(kept)
        return cls(
            vocabulary,
            Windows(first, length, readers),
            Windows(last, length, readers),
            Streams(first, readers),
            written.hexdigest(),
            sum(map(len, kept)) / len(kept),
            _entropy(first),
        )


def _entropy(numbers: numpy.ndarray) -> float:
    """Of their frequencies, in bits."""
    counts = numpy.bincount(numbers)
    shares = counts[counts > 0] / len(numbers)
    return float(-(shares * numpy.log2(shares)).sum())


def _too_short(
    count: int, apart: int | None, readers: int, length: int, held_out: Any, unit: str
) -> DataError:
    sizes = f"a batch of {readers} with windows of {length} needs"
    if apart is not None:
        return DataError(
            f"the texts have {count} {unit} and, held out, {apart}; {sizes} more than {readers * length} and "
            f"{readers}: give longer texts, or smaller --batch and --length"
        )
    least = max((readers + 1) / max(held_out, 1e-9), (readers * length + 1) / max(1 - held_out, 1e-9))
    return DataError(
        f"the text has {count} {unit}; {sizes} about {round(least)}: give a longer text, or smaller "
        "--batch and --length"
    )
