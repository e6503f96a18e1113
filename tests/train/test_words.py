"""A run that reads words."""

from __future__ import annotations

import re

import pytest

import tinygrad_rnn as tg
from tests.test_cli import SMALL
from tinygrad_rnn import cli

pytestmark = pytest.mark.numpy_only


def test_it_writes_words_that_it_has_read(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("the cell remembers, the gate forgets;\n" * 80 + "once\n")
    assert cli.main(["train", "--words", "--text", "text.txt", *SMALL, "--steps", "12", "--run", "run"]) == 0
    out = capsys.readouterr().out
    assert "parameters on 10 words, in run" in out  # with <unk>, and "the" also behind a space
    assert " bits/word " in out
    assert "held_out_bits_per_word" in (tmp_path / "run/log.csv").read_text()
    assert cli.main(["sample", "run", "--length", "30", "--prompt", "the cell", "--temperature", "9"]) == 0
    written = capsys.readouterr().out
    assert written.startswith("the cell")
    assert "<unk>" not in written
    assert re.fullmatch("( ?the| cell| remembers| gate| forgets|,|;|\\n)+", written)
    assert cli.main(["sample", "run", "--stop", "gate", "--length", "400", "--prompt", "the"]) == 0
    assert capsys.readouterr().out.endswith(" gate\n")
    assert cli.main(["train", "--resume", "run", "--steps", "14"]) == 0
    assert tg.train.load_run("run").vocabulary.unknown == "<unk>"
