"""The command line as a user meets it: what it says, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import cli
from tinygrad_rnn.train.run import Run

pytestmark = pytest.mark.numpy_only

SMALL = ["--hidden", "6", "--embed", "4", "--batch", "3", "--length", "5", "--every", "5"]


@pytest.fixture(autouse=True)
def text(tmp_path, monkeypatch):
    """A folder of its own with a small text in it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "text.txt"
    path.write_text("the cell remembers, the gate forgets; " * 40)
    return path


@pytest.fixture
def run():
    """A trained run."""
    assert cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "12", "--run", "run"]) == 0


def refused(capsys, *arguments):
    """What an error says: on stderr, with exit status 2 and no traceback."""
    capsys.readouterr()
    try:
        status = cli.main(list(arguments))
    except SystemExit as ended:  # argparse's way
        status = ended.code
    out, err = capsys.readouterr()
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1 or "usage:" in err
    assert "Traceback" not in err
    return err


def test_alone_it_helps(capsys):
    assert cli.main([]) == 0
    out = capsys.readouterr().out
    assert all(command in out for command in ("train", "sample", "graph", "flow"))


def test_a_run_from_start_to_end(capsys, tmp_path):
    assert cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "12", "--cell", "gru"]) == 0
    out = capsys.readouterr().out
    folder = tmp_path / "runs" / "gru-1"
    assert re.match(r"gru with \d+ parameters on 16 characters, in runs", out)
    assert re.search(
        r"step 5/12  [\d.]+ bits/character  held out [\d.]+  gradient [\d.]+  horizon (≥ )?\d+ steps?  "
        r"[\d,]+ tokens/s  \d:\d\d left",
        out,
    )
    assert re.search(r"held-out text: [\d.]+ bits per character", out)
    assert (folder / "sample.txt").read_text() in out + "\n"
    assert {path.name for path in folder.iterdir()} >= {
        "config.json",
        "log.csv",
        "last.safetensors",
        "sample.txt",
    }


def test_a_setting_without_effect_is_told_in_one_line(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "1", "--dropout", "0.5"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        (
            "tinygrad-rnn: LSTM: dropout acts between layers, and there is one: give num_layers=2 or more, "
            "or "
            "put nn.Dropout behind the layer"
        )
    ]


@pytest.mark.parametrize(
    ("value", "said"),
    [("inf", "must be finite, not inf"), ("-1", "must be above 0"), ("x", "'x' is not a number")],
)
def test_a_learning_rate_that_cannot_be(value, said, capsys):
    assert said in refused(capsys, "train", f"--lr={value}")


def test_a_long_run_prints_few_lines(capsys):
    assert cli.main(["train", "--text", "text.txt", *SMALL, "--every", "100", "--steps", "100"]) == 0
    assert capsys.readouterr().out.count("\nstep ") < 20


def test_sampling(run, capsys):
    capsys.readouterr()
    texts = []
    for seed in "112":
        assert cli.main(["sample", "run", "--length", "30", "--prompt", "the ", "--seed", seed]) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("the ")
    assert len(texts[0]) == 4 + 30 + 1
    assert (
        cli.main(
            [
                "sample",
                os.path.join("run", "last.safetensors"),
                "--length",
                "30",
                "--prompt",
                "the ",
                "--seed",
                "2",
            ]
        )
        == 0
    )
    assert capsys.readouterr().out == texts[2]


@pytest.mark.parametrize("cell", ["rnn", "lstm", "peephole", "gru"])
def test_graphs_need_no_engine_as_dot(cell, capsys, tmp_path):
    assert cli.main(["graph", "--cell", cell, "--out", "cell.dot"]) == 0
    assert re.fullmatch(
        r"graph of \d+ operations \(\d+ composition, .*\), 2 steps\ncell\.dot\n", capsys.readouterr().out
    )
    assert "digraph" in (tmp_path / "cell.dot").read_text()


def test_a_graph_of_a_run(run, capsys, tmp_path):
    assert cli.main(["graph", "run", "--steps", "1", "--out", "run.dot"]) == 0
    assert "recurrent.weight_hh_l0" in (tmp_path / "run.dot").read_text(encoding="utf-8")
    assert cli.main(["graph", "gru", "--out", "gru.dot"]) == 0
    assert capsys.readouterr().out.split()[-1] == "gru.dot"


def test_the_flow_of_a_cell(capsys, tmp_path):
    assert cli.main(["flow", "gru", "--steps", "30", "--out", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert re.match(r"vanishing: 1 % of the residual reaches \d+ of 29 steps back", out)
    assert "where it loses most:\n  step" in out
    assert "gates:\n  r: 0 % saturated" in out
    assert len((tmp_path / "flow.csv").read_text().splitlines()) == 31


def test_the_flow_of_a_run(run, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert cli.main(["flow", "run", "--steps", "12"]) == 0
    out = capsys.readouterr().out
    assert "of 11 steps" in out
    assert f"\n{os.path.join('run', 'flow.csv')}\nnot drawn: the heat map needs the package matplotlib" in out


def test_resuming(run, capsys):
    assert "12 steps already" in refused(capsys, "train", "--resume", "run")
    assert "--hidden, --run cannot change" in refused(
        capsys, "train", "--resume", "run", "--hidden", "9", "--run", "x"
    )
    assert cli.main(["train", "--resume", "run", "--steps", "15"]) == 0
    assert "step 15/15" in capsys.readouterr().out


def test_the_memory_of_a_text(run, capsys, tmp_path):
    (tmp_path / "text.txt").rename(tmp_path / "gone.txt")  # the model is enough
    capsys.readouterr()
    assert cli.main(["flow", "run", "--text", "the gate remembers", "--out", "memory.html"]) == 0
    said, path = capsys.readouterr().out.splitlines()
    assert said.startswith("memory over 18 characters: 1 % of the largest gradient reaches ")
    assert path == "memory.html"
    page = (tmp_path / path).read_text(encoding="utf-8")
    trained = tg.train.load_run("run")
    memory = trained.memory("the gate remembers")
    assert memory.html().replace(memory.title, "What the run run remembers") == page
    # the likeliest after "the ", and the gradient of what came there, by the softmax and its slope
    numbers = trained.vocabulary.encode("the g")
    vectors = trained.model.embedding(tg.tensor(numbers[:4, None])).detach().requires_grad_()
    chances = tg.softmax(trained.model.read(vectors)[0][-1, 0])
    (token, chance), *_ = memory.guesses[3]
    assert trained.vocabulary.tokens[int(chances.numpy().argmax())] == token
    assert chances.numpy().max() == pytest.approx(chance, rel=1e-5)
    slope = tg.gradients(tg.log(chances[int(numbers[4])]), vectors).numpy()[:, 0]
    assert memory.array[3, :4] == pytest.approx(np.linalg.norm(slope, axis=-1), rel=1e-4)
    # a file that holds a text, of which the first characters are looked at
    assert cli.main(["flow", "run", "--text", "gone.txt", "--steps", "30", "--out", "memory.html"]) == 0
    assert "these are the first 30 of 1,520 characters" in capsys.readouterr().out
    assert "What the run run remembers of the first 30 of 1,520 characters" in (tmp_path / path).read_text(
        "utf-8"
    )
    # the table and the heat map of that text
    assert cli.main(["flow", "run", "--text", "the gate remembers", "--out", "."]) == 0
    assert len((tmp_path / "flow.csv").read_text().splitlines()) == 1 + 17
    assert "cannot read the text" in refused(capsys, "flow", "run", "--out", "memory.html")
    assert "has never seen '~'" in refused(
        capsys, "flow", "run", "--text", "the ~ell", "--out", "memory.html"
    )
    assert "--text is empty" in refused(capsys, "flow", "run", "--text", "", "--out", "memory.html")
    assert "at least three" in refused(capsys, "flow", "run", "--text", "th")
    assert "a cell reads none" in refused(capsys, "flow", "gru", "--out", "memory.html")
    assert cli.main(["flow", "run", "--text", "t", "--out", "memory.html"]) == 0


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("train --text none.txt", "cannot read the text .*none.txt: No such file"),
        ("train --text empty.txt", "is empty"),
        ("train --text latin.txt", "is not UTF-8"),
        ("train --text text.txt --batch 4000", "needs about"),
        ("train --text text.txt --run text.txt", "cannot make the run folder"),
        ("train --text text.txt --run .", "not empty"),
        ("train --resume none", "no folder of a training run"),
        ("train --resume text.txt", "no folder of a training run"),
        ("train --resume foreign.safetensors", "no folder of a training run"),
        ("train --hidden 0", "--hidden: must be at least 1, not 0"),
        ("train --layers 1000000", "--layers: must be at most 1,000, not 1000000"),
        ("train --hidden 1000000", "--hidden: must be at most 65,536, not 1000000"),
        ("train --embed 1000000", "--embed: must be at most 65,536, not 1000000"),
        ("graph --steps 1000000", "--steps: must be at most 10,000, not 1000000"),
        ("flow --steps 1000000", "--steps: must be at most 100,000, not 1000000"),
        ("train --hidden few", "--hidden: 'few' is not a whole number"),
        ("train --lr 0", "--lr: must be above 0"),
        ("train --lr nan", "--lr: must be above 0, not nan"),
        ("train --dropout 1", "--dropout: must be at least 0 and below 1"),
        ("train --cell transformer", "--cell: must be rnn, lstm"),
        ("train --text text.txt --backend cupy", "the 'cupy' backend needs"),
        ("train --steps", "expected one argument"),
        ("sample none", "no such file"),
        ("sample .", "no such file"),
        ("sample foreign.safetensors", "no checkpoint of a training run"),
        ("sample x --temperature -1", "--temperature: must be at least 0"),
        ("graph --out cell.xyz", "none of the endings"),
        ("graph nothing", "neither the folder of a run nor a cell"),
        ("flow nothing", "neither the folder of a run nor a cell"),
        ("flow --out none", "cannot write"),
        ("graph --out none/cell.dot", "cannot write"),
        ("fly", "invalid choice"),
    ],
)
def test_errors(arguments, complaint, capsys, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes("é".encode("latin-1") * 1000)
    tg.save("foreign.safetensors", {"weight": np.ones(3)})
    before = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*"))
    assert re.search(complaint, refused(capsys, *arguments.split()))
    assert sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*")) == before


def test_a_prompt_with_unknown_characters(run, capsys):
    assert "never seen '~'" in refused(capsys, "sample", "run", "--prompt", "~")


def test_too_little_memory(capsys, monkeypatch):
    def greedy(*_):
        raise MemoryError("Unable to allocate 9 PiB")

    monkeypatch.setattr(Run, "new", greedy)
    assert "choose smaller sizes" in refused(capsys, "train")


COMMAND = [sys.executable, "-c", "import sys; from tinygrad_rnn.cli import main; sys.exit(main())"]


def start(*arguments, **variables):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM between processes")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_and_says_how_to_go_on(number, tmp_path):
    process = start("train", "--text", "text.txt", *SMALL, "--steps", "100000", "--run", "my run")
    log = tmp_path / "my run" / "log.csv"
    patience = time.monotonic() + 60
    while (
        not (log.exists() and log.read_text().count("\n") > 5)
        and time.monotonic() < patience
        and process.poll() is None
    ):
        time.sleep(0.05)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (128 + number, "")
    saved = int(re.search(rf"stopped by {number.name} and saved after step (\d+) of 100000", out)[1])
    assert "tinygrad-rnn train --resume 'my run'" in out
    assert len(log.read_text().splitlines()) == 1 + saved
    assert cli.main(["train", "--resume", "my run", "--steps", str(saved + 1)]) == 0
    assert not [path for path in log.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.skipif(os.name == "nt", reason="pipes break in another way there")
def test_a_reader_that_has_enough(run):
    process = start("sample", "run", "--length", "2000")
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 0
    process.stderr.close()


def test_a_run_goes_on_without_its_reader(text, tmp_path):
    process = start("train", "--text", "text.txt", *SMALL, "--steps", "30", "--run", "run")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=120) == 0
    assert process.stderr.read() == ""
    process.stderr.close()
    assert len((tmp_path / "run/log.csv").read_text().splitlines()) == 31
    assert (tmp_path / "run/sample.txt").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
@pytest.mark.parametrize(
    "command", [["train", "--text", "text.txt", *SMALL, "--steps", "7", "--run", "new"], ["sample", "run"]]
)
def test_an_output_that_is_full(command, run, tmp_path):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, *command], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.stderr == "tinygrad-rnn: cannot write to the output: No space left on device\n"
    assert done.returncode == (0 if command[0] == "train" else 2)
    if command[0] == "train":
        assert (tmp_path / "new/sample.txt").exists()


def test_two_at_once(text, tmp_path):
    """One trains, the other is refused; what a killed one leaves is removed."""
    cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "5", "--run", "run"])
    (tmp_path / "run/.last.0123abcd.safetensors").write_bytes(b"half")
    first = start("train", "--resume", "run", "--steps", "100000")
    first.stdout.readline()
    while "step" not in first.stdout.readline():
        pass
    second = start("train", "--resume", "run", "--steps", "100000")
    _, err = second.communicate(timeout=60)
    assert (second.returncode, err.count("\n")) == (2, 1)
    assert "another process trains in run" in err
    assert not (tmp_path / "run/.last.0123abcd.safetensors").exists()
    first.kill()
    first.communicate()
    assert cli.main(["sample", "run", "--length", "2"]) == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="a signal of POSIX")
def test_a_terminal_that_closes_saves(text, tmp_path):
    process = start("train", "--text", "text.txt", *SMALL, "--steps", "100000", "--run", "run")
    process.stdout.readline()
    while "step" not in process.stdout.readline():
        pass
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGHUP
    saved = int(re.search(r"saved after step (\d+)", out)[1])
    assert tg.load("run/last.safetensors").part("fit")["counts"][0] == saved


def test_a_run_that_was_killed_while_it_drew_is_finished(run, tmp_path, capsys):
    (tmp_path / "run/sample.txt").unlink()
    assert cli.main(["train", "--resume", "run"]) == 0
    assert (tmp_path / "run/sample.txt").exists()
    assert "steps already" in refused(capsys, "train", "--resume", "run")


def test_a_run_that_was_killed_while_it_began_is_begun(run, tmp_path):
    for path in (tmp_path / "run").iterdir():
        if path.name != "config.json":
            path.unlink()
    assert cli.main(["train", "--resume", "run"]) == 0
    assert len((tmp_path / "run/log.csv").read_text().splitlines()) == 13


def test_equal_runs_have_equal_files(text, tmp_path):
    for name in ("one", "other"):
        assert cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "6", "--run", name]) == 0
    for file in ("last", "best"):
        one, other = ((tmp_path / name / f"{file}.safetensors").read_bytes() for name in ("one", "other"))
        assert one == other


def test_a_terminal_that_lacks_a_character(text):
    text.write_text("“è”" * 1000, encoding="utf-8")
    cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "1", "--run", "run"])
    out, err = start("sample", "run", "--length", "9", PYTHONIOENCODING="ascii").communicate(timeout=60)
    assert (out, err) == ("?????????\n", "")


def test_settings_from_a_file(run, capsys, tmp_path):
    """A run's own settings are such a file, and options win."""
    assert cli.main(["train", "--config", "run/config.json", "--steps", "6", "--run", "other"]) == 0
    ours, theirs = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("other", "run"))
    assert ours == {**theirs, "steps": 6}
    (tmp_path / "wrong.json").write_text('{"hiden": 3}')
    assert "there is no setting 'hiden'" in refused(capsys, "train", "--config", "wrong.json")
    for content in ("[1]", "{", "nonsense"):
        (tmp_path / "wrong.json").write_text(content)
        assert "the settings wrong.json" in refused(capsys, "train", "--config", "wrong.json")


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [
        ("adam", "cosine"), ("adamw", "constant"), ("adagrad", "onecycle"), ("rmsprop", "cosine"),
        ("rmsprop", "onecycle"), ("sgd", "constant"), ("sgd", "onecycle"),
    ],
)  # fmt: skip
def test_optimisers_and_schedules(optimizer, schedule, tmp_path):
    options = ["--optimizer", optimizer, "--schedule", schedule, "--weight-decay", "0.01"]
    train = ["train", "--text", "text.txt", *SMALL, *options]
    assert cli.main([*train, "--steps", "10", "--run", "run"]) == 0
    rates = [float(line.split(",")[3]) for line in (tmp_path / "run/log.csv").read_text().splitlines()[1:]]
    falls, level = rates[-1] < rates[0], rates == [0.01] * 10
    assert {"cosine": falls, "constant": level, "onecycle": max(rates) == pytest.approx(0.01)}[schedule]
    kind = tg.train.load_run("run")
    assert kind.history.rows[-1]["held_out_bits_per_character"] < 8


def test_a_run_that_was_moved(run, capsys, tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "run").rename(tmp_path / "far/away")
    (tmp_path / "text.txt").rename(tmp_path / "far/text.txt")
    assert cli.main(["sample", "far/away", "--length", "3"]) == 0
    assert "cannot read the text" in refused(capsys, "train", "--resume", "far/away", "--steps", "14")
    assert cli.main(["train", "--resume", "far/away", "--steps", "14", "--text", "far/text.txt"]) == 0
    for command in ("graph", "flow"):
        assert cli.main([command, "far/away", "--steps", "3", "--text", "far/text.txt"]) == 0
    (tmp_path / "other.txt").write_text("the cell forgets " * 90)
    said = refused(capsys, "train", "--resume", "far/away", "--steps", "20", "--text", "other.txt")
    assert "has changed since" in said


def test_runs_side_by_side(run, capsys):
    assert (
        cli.main(["train", "--text", "text.txt", *SMALL, "--steps", "40", "--cell", "gru", "--run", "gru"])
        == 0
    )
    capsys.readouterr()
    assert cli.main(["compare", "run", "gru"]) == 0
    head, first, second = capsys.readouterr().out.splitlines()
    assert head.split() == [
        "run",
        "cell",
        "parameters",
        "bits/character",
        "after",
        "step",
        "steps",
        "horizon",
        "seconds",
    ]
    assert (first.split()[:2], second.split()[:2]) == (["gru", "gru"], ["run", "lstm"])
    assert float(first.split()[3]) < float(second.split()[3])
    assert "no/such" in refused(capsys, "compare", "run", "no/such")


def test_among_the_likeliest_and_no_further(run, capsys):
    capsys.readouterr()
    words = ["sample", "run", "--length", "40", "--prompt", "the "]
    assert cli.main([*words, "--temperature", "0"]) == 0
    likeliest = capsys.readouterr().out
    assert cli.main([*words, "--temperature", "5", "--top-k", "1"]) == 0
    assert capsys.readouterr().out == likeliest
    assert cli.main([*words, "--temperature", "0", "--stop", likeliest[6]]) == 0
    assert capsys.readouterr().out.rstrip("\n") == likeliest[: likeliest.index(likeliest[6], 4) + 1].rstrip(
        "\n"
    )


def test_what_is_held_out(capsys, tmp_path):
    (tmp_path / "held.txt").write_text("the gate remembers, the cell forgets; " * 10)
    train = ["train", "--text", "text.txt", *SMALL, "--steps", "5"]
    for name, held_out in (("share", "0.4"), ("file", "held.txt")):
        assert cli.main([*train, "--held-out", held_out, "--run", name]) == 0
    assert cli.main(["train", "--resume", "file", "--steps", "7"]) == 0
    (tmp_path / "held.txt").write_text("the cell remembers the gate " * 10)
    assert "has changed since" in refused(capsys, "train", "--resume", "file", "--steps", "9")
    (tmp_path / "held.txt").write_text("QUITE ANOTHER")
    assert "has never seen" in refused(capsys, *train, "--held-out", "held.txt", "--run", "new")
    for wrong in ("0", "1", "1.5", "-0.1", "nan", "no/such"):
        assert "held" in refused(capsys, *train, f"--held-out={wrong}", "--run", "new") or wrong == "no/such"
    assert not (tmp_path / "new").exists()


def test_the_package_is_the_command():
    package = os.path.dirname(tg.__file__)
    told = subprocess.run(
        [sys.executable, "-m", "tinygrad_rnn", "--version"],
        capture_output=True,
        text=True,
        check=True,
        cwd=os.path.dirname(package),
    )
    assert told.stdout.strip().endswith(tg.__version__)
