"""``tinygrad-rnn export``: a run as a C file, and what it loses by whole numbers."""

from __future__ import annotations

import re
import shutil
import subprocess

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.interop.compiled_c import STRICT, difference, needs_gcc, run, strictly
from tinygrad_rnn import cli
from tinygrad_rnn.interop import c
from tinygrad_rnn.train import snapshot

pytestmark = [needs_gcc, pytest.mark.numpy_only]


@pytest.fixture
def folder(tmp_path, text):
    options = (
        "--hidden 12 --embed 5 --layers 2 --dropout 0.2 --batch 3 --length 5 --steps 40 --every 20 --lr 0.02"
    )
    command = ["train", *options.split(), "--text", str(text), "--run", str(tmp_path / "run")]
    assert cli.main([*command, "--cell", "peephole"]) == 0
    return tmp_path / "run"


def bits(scores: np.ndarray, following: np.ndarray) -> float:
    """The mean of −log₂ of what is given to the characters that follow."""
    scores = scores.astype(np.float64)
    log = np.log(np.exp(scores - scores.max(-1, keepdims=True)).sum(-1)) + scores.max(-1)
    return float((log - np.take_along_axis(scores, following[:, None], 1)[:, 0]).mean() / np.log(2))


def held_out_bits(folder, path) -> float:
    """What the program in a folder loses on a run's held-out text, each reader on its own."""
    _, vocabulary, config = snapshot.load_model(str(folder))
    batches = list(config.corpus().held_out)
    numbers, following = (np.concatenate([np.asarray(batch[i]) for batch in batches]) for i in (0, 1))
    like = [np.zeros((1, len(vocabulary)), np.float32)]
    found = []
    for reader in range(numbers.shape[1]):
        (scores,) = run(path, [numbers[:, reader, None].astype(np.int32)], like)
        found.append(bits(scores[:, 0], following[:, reader]))
    return float(np.mean(found))


@pytest.mark.parametrize("weights", ["float32", "int8"])
def test_a_run_and_both_its_losses(weights, folder, tmp_path, capsys):
    capsys.readouterr()
    file = tmp_path / "model.c"
    assert cli.main(["export", str(folder), str(file), "--weights", weights]) == 0
    out = capsys.readouterr().out
    told = re.search(
        r"held-out text: ([\d.]+) bits per character with float32 weights, ([\d.]+) with int8", out
    )
    assert told is not None
    strictly(file)
    model, vocabulary, _ = snapshot.load_model(str(folder))
    numbers = vocabulary.encode("the gate remembers the cell " * 4)
    model.eval()
    if weights == "int8":
        model.load_state_dict({n: c.dequantised(w.numpy()) for n, w in model.state_dict().items()})
    with tg.no_grad():
        expected = model(tg.tensor(numbers[:, None]))[0].numpy()
    (found,) = run(tmp_path, [numbers[:, None].astype(np.int32)], [expected[0]])
    assert difference([found], [expected]) < 1e-6
    assert held_out_bits(folder, tmp_path) == pytest.approx(float(told[1 + (weights == "int8")]), abs=6e-5)


def test_the_vocabulary_is_in_the_file(folder, tmp_path):
    file = tmp_path / "m.c"
    assert cli.main(["export", str(folder), str(file), "--name", "writer"]) == 0
    text = file.read_text(encoding="ascii")
    _, vocabulary, _ = snapshot.load_model(str(folder))
    found = re.search(r"writer_characters\[\d+\] = {([\d\sUL,]+)}", text)
    assert found is not None
    assert "".join(chr(int(x)) for x in re.findall(r"\d+", found[1])) == vocabulary.characters
    assert f"#define WRITER_CHARACTERS {len(vocabulary)}" in text


def test_without_its_text_a_run_is_written_and_not_measured(folder, tmp_path, text, capsys):
    moved = tmp_path / "elsewhere.txt"
    shutil.move(text, moved)
    capsys.readouterr()
    assert cli.main(["export", str(folder), str(tmp_path / "m.c")]) == 0
    assert "not measured" in capsys.readouterr().out
    strictly(tmp_path / "m.c")
    assert cli.main(["export", str(folder), str(tmp_path / "m.c"), "--text", str(moved)]) == 0
    assert re.search(r"[\d.]+ with int8 weights", capsys.readouterr().out)


def test_a_checkpoint_of_a_run_will_do(folder, tmp_path):
    for name in ("last.safetensors", "best.safetensors"):
        assert cli.main(["export", str(folder / name), str(tmp_path / "m.c")]) == 0


@pytest.mark.parametrize("run", ["nowhere", "text.txt"])
def test_what_is_no_run_is_refused(run, tmp_path, text, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["export", run, "model.c"]) == 2
    assert capsys.readouterr().err.startswith("tinygrad-rnn: ")
    assert not (tmp_path / "model.c").exists()


def test_a_run_of_words(tmp_path, text):
    options = "--words --hidden 9 --embed 5 --batch 3 --length 5 --steps 12 --every 6 --cell gru"
    folder, file = tmp_path / "run", tmp_path / "model.c"
    assert cli.main(["train", *options.split(), "--text", str(text), "--run", str(folder)]) == 0
    assert cli.main(["export", str(folder), str(file)]) == 0
    strictly(file)
    _, vocabulary, _ = snapshot.load_model(str(folder))
    assert any(len(word) > 1 for word in vocabulary.tokens)
    checks = ["!model_word(-1)", f"!model_word({len(vocabulary)})", f"MODEL_WORDS == {len(vocabulary)}"]
    checks += ['model_number("cell and more") == -1', 'model_number("") == -1']
    checks += [f"model_number(model_word({i})) == {i}" for i in range(len(vocabulary))]
    prints = " ".join(f"puts(model_word({i}));" for i in range(len(vocabulary)))
    main = f"int main(void) {{ {prints} return !({' && '.join(checks)}); }}"
    program = f'#include <stdio.h>\n#include "model.c"\n{main}\n'
    (tmp_path / "words.c").write_text(program)
    subprocess.run(["gcc", "-std=c99", *STRICT, "words.c", "-lm", "-o", "words"], cwd=tmp_path, check=True)
    done = subprocess.run([str(tmp_path / "words")], capture_output=True, check=True)
    assert done.stdout.decode() == "".join(f"{word}\n" for word in vocabulary.tokens)


def test_a_run_with_a_cell_of_ones_own(tmp_path, text, monkeypatch):
    (tmp_path / "own_for_c.py").write_text(
        "import tinygrad_rnn as tg\n"
        "class Own(tg.nn.Module):\n"
        "    def __init__(self, inputs, hidden):\n"
        "        self.w, self.u = tg.nn.Linear(inputs, hidden), tg.nn.Linear(hidden, hidden)\n"
        "        self.state_size = self.output_size = hidden\n"
        "    def __call__(self, x, h):\n"
        "        h = tg.tanh(self.w(x) + tg.softplus(self.u(h)) - 1)\n"
        "        return h, h\n"
    )
    monkeypatch.chdir(tmp_path)
    options = "--cell own_for_c:Own --hidden 9 --embed 5 --layers 2 --batch 3 --length 5 --steps 6 --every 6"
    assert cli.main(["train", *options.split(), "--text", str(text), "--run", "run"]) == 0
    assert cli.main(["export", "run", "model.c", "--cell", "own_for_c:Own"]) == 0
    model, vocabulary, _ = snapshot.load_model("run", "own_for_c:Own")
    numbers = vocabulary.encode("the gate remembers the cell " * 4)
    with tg.no_grad():
        expected = model.eval()(tg.tensor(numbers[:, None]))[0].numpy()
    (found,) = run(tmp_path, [numbers[:, None].astype(np.int32)], [expected[0]])
    assert difference([found], [expected]) < 1e-6


@pytest.mark.parametrize("name", ["model.onnx", "model", "model.c.txt"])
def test_another_ending_is_refused_with_what_to_do(name, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["export", str(tmp_path), str(tmp_path / name)])
    said = capsys.readouterr().err
    assert all(word in said for word in (name, ".c or .h", "tg.interop.onnx.export"))
    assert not list(tmp_path.iterdir())
