"""Characters and words as numbers and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tinygrad_rnn.data import Vocabulary


def test_characters_and_numbers():
    vocabulary = Vocabulary.of("banana\n")
    assert vocabulary.characters == "\nabn"
    assert vocabulary.encode("nab").tolist() == [3, 1, 2]
    assert vocabulary.decode(np.array([3, 1, 2])) == "nab"
    with pytest.raises(tg.DataError, match="never seen 'x', 'y'"):
        vocabulary.encode("nyx")
    for number in (-1, 4):
        with pytest.raises(tg.IndexRangeError, match=f"the number {number} at \\[1\\] lies outside of 0 … 3"):
            vocabulary.decode(np.array([0, number]))


def test_words_and_numbers() -> None:
    vocabulary = Vocabulary.of(["the", "cat", "and", "the", "dog"])
    assert vocabulary.tokens == ("and", "cat", "dog", "the")
    assert vocabulary.encode(["the", "dog"]).tolist() == [3, 2]
    assert vocabulary.decode(np.array([[3], [2]])) == ["the", "dog"]
    with pytest.raises(tg.DataError, match="the vocabulary has no 'cow': give"):
        vocabulary.encode(["the", "cow"])
    with pytest.raises(tg.ArgumentError, match="a list of strings: split it into tokens first"):
        vocabulary.encode("the cat")


def test_numbers_are_whole() -> None:
    with pytest.raises(tg.ArgumentError, match="numbers must be whole numbers"):
        Vocabulary("ab").decode([0.5])


def test_what_is_unknown_has_number_0() -> None:
    words = Vocabulary.of(["a", "b", "b", "c", "c", "c"], unknown="<unk>", least=2)
    assert words.tokens == ("<unk>", "b", "c")
    assert words.encode(["c", "a", "?"]).tolist() == [2, 0, 0]
    letters = Vocabulary.of("abb", unknown="\ufffd")
    assert letters.decode(letters.encode("bz")) == "b\ufffd"
    assert Vocabulary.of(["<unk>", "a"], unknown="<unk>").tokens == ("<unk>", "a")


@given(st.text(), st.lists(st.text()), st.none() | st.characters())
def test_it_reads_back_what_it_wrote_also_as_json(text: str, words: list[str], unknown: str | None) -> None:
    for given_text in (text, words):
        vocabulary = Vocabulary.of(given_text, unknown)
        assert len(vocabulary) == len({*given_text} | ({unknown} - {None}))
        again = Vocabulary.from_json(vocabulary.to_json())
        assert (again.tokens, again.unknown) == (vocabulary.tokens, unknown)
        assert again.decode(vocabulary.encode(given_text)) == given_text


def test_beside_weights_and_scales_in_files(tmp_path, monkeypatch) -> None:
    """As docs/api/data.md has it."""
    monkeypatch.chdir(tmp_path)
    vocabulary, scaler = Vocabulary.of(["a", "b"], unknown="?"), tg.data.Standard().fit(np.arange(3.0))
    tg.save("weights.safetensors", tg.nn.Linear(2, 3), {"vocabulary": vocabulary.to_json()})
    tg.save("scale.safetensors", scaler.state_dict())
    saved = tg.load("weights.safetensors").metadata["vocabulary"]
    assert Vocabulary.from_json(saved).encode(["b", "c"]).tolist() == [2, 0]
    other = tg.data.Standard()
    other.load_state_dict(tg.load("scale.safetensors"))
    assert (other.shift, other.scale) == (scaler.shift, scaler.scale)


@pytest.mark.parametrize(
    ("tokens", "unknown", "complaint"),
    [
        ("aba", None, "tokens has 'a' twice"),
        (["a", "b"], "c", "unknown is 'c', which is none of the tokens"),
        (["a", 1], None, r"tokens\[1\] must be a string"),
        (None, None, "tokens must be a string or a list of strings"),
        ("ab", 3, "unknown must be a string"),
    ],
)
def test_tokens_that_are_none(tokens, unknown, complaint) -> None:
    with pytest.raises(tg.ArgumentError, match=complaint):
        Vocabulary(tokens, unknown)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"tokens": [1], "unknown": null}', '{"tokens": "aa", "unknown": null}', "[" * 9999],
)
def test_texts_of_no_vocabulary(text) -> None:
    with pytest.raises(tg.CheckpointError, match="text is none of a vocabulary"):
        Vocabulary.from_json(text)


def test_unknown_characters_are_characters() -> None:
    with pytest.raises(tg.ArgumentError, match="unknown must be one character"):
        Vocabulary.of("ab", unknown="<unk>")
