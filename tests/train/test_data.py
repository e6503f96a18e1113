"""Texts, and what is trained on of them."""

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.train.data import UNKNOWN, Corpus, read_text, tokens_of


def test_the_default_text_comes_with_python():
    text = read_text(None)
    assert len(text) > 300_000
    assert "statement" in text


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("één\r\ntwee".encode())
    assert read_text(str(path)) == "één\ntwee"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"\xef\xbb\xbfab", "ab"),  # a byte order mark
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", "a\nb"),  # of two files that were joined
        (b"a\rb\r\nc\n", "a\nb\nc\n"),  # the ends of lines of three systems
        ("a\t\u200db\u2028".encode(), "a\t\u200db\u2028"),  # what looks odd and is text
    ],
)
def test_what_is_no_text_is_left_out(content, text, tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(content)
    assert read_text(str(path)) == text


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        ("only Latin letters".encode("utf-16-le"), "NUL"),
        ("with a mark".encode("utf-16"), r"not UTF-8 \(byte 0\)"),
        (b"abc\xff\xfe", r"not UTF-8 \(byte 3\)"),
        (None, "No such file"),
    ],
)
def test_texts_that_cannot_be_used(content, complaint, tmp_path):
    path = tmp_path / "a.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(tg.DataError, match=complaint):
        read_text(str(path))


def test_a_folder_is_no_text(tmp_path):
    with pytest.raises(tg.DataError, match="cannot read"):
        read_text(str(tmp_path))


def test_the_last_tenth_is_held_out():
    corpus = Corpus.of("a" * 900 + "b" * 100, readers=4, length=10)
    assert set(np.concatenate([y.ravel() for _, y in corpus.training]).tolist()) == {0}
    assert set(np.concatenate([y.ravel() for _, y in corpus.held_out]).tolist()) == {1}


def test_a_text_that_is_too_short_says_what_would_do():
    with pytest.raises(
        tg.DataError, match=r"has 100 characters; a batch of 8 with windows of 20 needs about (\d+)"
    ) as caught:
        Corpus.of("ab" * 50, readers=8, length=20)
    needed = int(str(caught.value).split("about ")[1].split(":")[0])
    Corpus.of("a" * needed, readers=8, length=20)


def test_another_text_has_another_fingerprint():
    assert Corpus.of("ab" * 50, 2, 2).fingerprint != Corpus.of("ba" * 50, 2, 2).fingerprint


@pytest.mark.parametrize("text", ["", " ", "a  b", "It's  late,\n\n\tsaid\u00a0he: “no…”  (3.14)\n", "x" * 9])
def test_words_together_are_the_text_again(text):
    assert "".join(tokens_of(text, True)) == text
    assert tokens_of("The cat,\nthe dog", True) == ["The", " cat", ",", "\n", "the", " dog"]


def test_words_that_stand_there_once_are_unknown():
    corpus = Corpus.of("a cat and a dog and " * 20 + "once", 2, 3, words=True)
    assert corpus.vocabulary.unknown == UNKNOWN
    assert set(corpus.vocabulary.tokens) == {UNKNOWN, " ", " a", " cat", " and", " dog"} - {" "}
