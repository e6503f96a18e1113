"""Texts to learn from: reading one, and what is trained on of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from .. import arguments
from ..data import Vocabulary
from ..data.streams import Streams
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
    text = text.replace("\ufeff", "").replace("\r\n", "\n").replace("\r", "\n")
    if not text:
        raise DataError(f"the text {path} is empty")
    return text


@dataclass(frozen=True)
class Corpus:
    """A text made ready.

    Attributes:
        vocabulary: its characters.
        training: streams over the first part.
        held_out: streams over the last part.
        fingerprint: a word that another text would not have.
    """

    vocabulary: Vocabulary[str]
    training: Streams
    held_out: Streams
    fingerprint: str

    @classmethod
    def of(cls, text: str, readers: int, length: int, held_out: float | str = HELD_OUT) -> Corpus:
        """Split a text for that many readers and windows of that length.

        Args:
            text: to learn from.
            readers: how many read it at the same time.
            length: of their windows.
            held_out: the share of the text, at its end, that is never trained on; or another text.

        Raises:
            DataError: a text is too short for them, or the other one has a character that the text lacks.
        """
        text = arguments.text("Corpus.of: text", text)
        readers, length = arguments.size("readers", readers, 1), arguments.size("length", length, 1)
        vocabulary = Vocabulary.of(text)
        words = hashlib.sha256(text.encode())
        if isinstance(held_out, str):
            training, kept = text, held_out
            words.update(b"\0" + kept.encode())
        else:
            share = arguments.probability("Corpus.of: held_out", held_out)
            training = text[: len(text) - round(len(text) * share)]
            kept = text[len(training) :]
        if len(kept) <= readers or len(training) <= readers * length:
            raise _too_short(text, readers, length, held_out)
        first, last = (Streams(vocabulary.encode(part), readers) for part in (training, kept))
        return cls(vocabulary, first, last, words.hexdigest())


def _too_short(text: str, readers: int, length: int, held_out: float | str) -> DataError:
    sizes = f"a batch of {readers} with windows of {length} needs"
    if isinstance(held_out, str):
        return DataError(
            f"the texts have {len(text)} characters and, held out, {len(held_out)}; {sizes} more than "
            f"{readers * length} and {readers}: give longer texts, or smaller --batch and --length"
        )
    least = max((readers + 1) / max(held_out, 1e-9), (readers * length + 1) / max(1 - held_out, 1e-9))
    return DataError(
        f"the text has {len(text)} characters; {sizes} about {round(least)}: give a longer text, or smaller "
        "--batch and --length"
    )
