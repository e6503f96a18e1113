"""Compiled code on disk: shared by processes and lengths of sequences, and no harm whatever becomes of the
folder. It is vector code."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import sys
import threading
import zlib

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.sequence.compare import compiled_scan, eager
from tinygrad_rnn import nn
from tinygrad_rnn.backends.native import code_cache, compiler, products, threads
from tinygrad_rnn.sequence import nested

pytestmark = pytest.mark.machine_code


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and a memory that has forgotten the code of all cells; with it, what was
    compiled since."""
    for kind in ("float", "double"):
        products._code(kind)  # these are no cell's, nor are the threads
    threads._team()
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path / "cache"))
    optimised, count = compiler._optimised, []
    monkeypatch.setattr(compiler, "_optimised", lambda text: count.append(text) or optimised(text))
    monkeypatch.setattr(code_cache, "_warned", threading.Lock())
    tg.clear_caches()
    return tmp_path / "cache", count


def run(width=6, build=nn.GRUCell, steps=3):
    """One scan and its gradients, compared with the eager loop."""
    cell = build(4, width, dtype="float64")
    random = np.random.default_rng(width)
    x, h = (tg.tensor(random.normal(size=s), requires_grad=True) for s in ((steps, 2, 4), (2, width)))
    found, expected = (
        tg.gradients(tg.sum(scan(cell, x, h)[0] ** 2), [x, h, *cell.parameters()])
        for scan in (compiled_scan, eager)
    )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-12)


def entries(folder):
    return sorted(path for path in folder.iterdir() if path.suffix == ".o")


def test_other_weights_and_longer_sequences_compile_nothing_new(cache):
    folder, count = cache
    run()
    assert len(count) == len(entries(folder)) == 1
    for steps in (1, 4, 40):
        run(steps=steps)
    assert len(count) == 1
    run(7)
    assert len(count) == len(entries(folder)) == 2


def test_what_is_kept_is_used(cache, monkeypatch):
    _, count = cache
    run()
    tg.clear_caches()
    run()
    assert len(count) == 1


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


HEAD = len(code_cache._seal("", b""))
DAMAGE = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "a flipped bit": _flip,
    "empty": lambda path: path.write_bytes(b""),
    "of the format before": lambda path: path.write_bytes(
        b"tgr1" + zlib.crc32(code := path.read_bytes()[HEAD:]).to_bytes(4, "little") + code
    ),
    "foreign": lambda path: path.write_bytes(b"something else" * 1000),
    "its seal only": lambda path: path.write_bytes(path.read_bytes()[:HEAD]),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=[name.replace(" ", "-") for name in DAMAGE])
def test_damaged_entries_are_made_again(cache, monkeypatch, damage):
    folder, count = cache
    run()
    intact = entries(folder)[0].read_bytes()
    damage(entries(folder)[0])
    tg.clear_caches()
    run()
    assert len(count) == 2
    assert entries(folder)[0].read_bytes() == intact
    tg.clear_caches()
    run()
    assert len(count) == 2


def test_an_entry_under_the_name_of_another_is_made_again(cache, monkeypatch):
    """Each is whole, and code of the right kind; it used to be executed, and to crash."""
    folder, count = cache
    cells = (nn.GRUCell, nn.RNNCell, functools.partial(nn.RNNCell, nonlinearity="relu"))
    for build in cells:
        run(build=build)
    intact = [path.read_bytes() for path in entries(folder)]
    assert len(intact) == len(count) == 3
    for turned in (1, 2):
        for path, content in zip(entries(folder), intact[turned:] + intact[:turned], strict=True):
            path.write_bytes(content)
        tg.clear_caches()
        for build in cells:
            run(build=build)
        assert len(count) == 3 + 3 * turned
        assert [path.read_bytes() for path in entries(folder)] == intact


def test_the_folder_moves(cache, monkeypatch, tmp_path):
    folder, count = cache
    run()
    folder.rename(tmp_path / "moved")
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path / "moved"))
    tg.clear_caches()
    run()
    assert len(count) == 1


def test_a_folder_that_cannot_be_made(cache, monkeypatch, tmp_path):
    """Part of its path is a file."""
    _, count = cache
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(tg.CacheWarning, match="Not a directory"):
        run()
    assert len(count) == 1


def test_a_folder_that_others_may_write_into(cache, monkeypatch):
    """The work goes on without it, and code that lies there is not executed."""
    folder, count = cache
    run()
    folder.chmod(0o777)
    tg.clear_caches()
    with pytest.warns(tg.CacheWarning, match="others may write into it"):
        run()
    assert len(count) == 2


def test_nothing_but_entries_is_left(cache):
    folder, _ = cache
    run()
    assert list(folder.iterdir()) == entries(folder)


SCRIPT = """
import numpy as np
import tinygrad_rnn as tg
from tinygrad_rnn import nn
from tinygrad_rnn.backends.native import compiler
made, optimised = [], compiler._optimised
compiler._optimised = lambda text: made.append(text) or optimised(text)
cell = nn.GRUCell(4, 6, dtype="float64")
x = tg.tensor(np.linspace(-1, 1, 24).reshape(3, 2, 4))
for p in cell.parameters():
    p.data = np.linspace(-0.5, 0.5, p.size).reshape(p.shape)
y, _ = tg.scan(cell, x, tg.zeros((2, 6), "float64"), compiled=True)
print(len(made), repr(float(tg.sum(y).item())))
"""


def _processes(count, folder):
    environment = os.environ | {"TINYGRAD_RNN_CACHE": str(folder), "OPENBLAS_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    found = []
    for process in started:
        output, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        found.append([float(part) for part in output.split()])
    return found


def test_processes_at_once_and_one_after(tmp_path, monkeypatch):
    """Both may compile; what they leave is whole, and the next process takes it and compiles nothing."""
    folder = tmp_path / "cache"
    both = _processes(2, folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert files
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(folder))
    assert all(code_cache.load(name.removesuffix(".o")) for name in files)
    (after,) = _processes(1, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == files
    assert len({value for _, value in (*both, after)}) == 1
    assert sum(made for made, _ in both) >= len(files)
    assert after[0] == 0


# -- the code ------------------------------------------------------------------------------------------------


def _texts(dtype, monkeypatch):
    texts, compile_text = [], nested.compiled
    monkeypatch.setattr(
        nested, "compiled", lambda text, names: texts.append(text) or compile_text(text, names)
    )
    tg.clear_caches()
    for build in (nn.LSTMCell, nn.GRUCell, nn.PeepholeLSTMCell, nn.RNNCell):
        cell = build(4, 64, dtype=dtype)
        state = (
            tuple(tg.zeros((2, 64), dtype) for _ in range(2))
            if isinstance(cell.state_size, tuple)
            else tg.zeros((2, 64), dtype)
        )
        compiled_scan(cell, tg.tensor(np.ones((3, 2, 4)), dtype, requires_grad=True), state)
    assert len(texts) == 4
    return texts


def _innermost_loops(assembly):
    """Of all functions, the instructions between a label and a jump back to it with no other label
    between."""
    loops, label, lines = [], "", []
    for line in (line.split("#")[0].strip() for line in assembly.splitlines()):
        found = re.match(r"([.\w$]+):", line)
        if found:
            label, lines = found[1], []
        elif line and not line.startswith("."):
            lines.append(line)
            if re.match(rf"j\w+\s+{re.escape(label)}$", line):
                loops.append(lines[:])
    return loops


def _with(lines, pattern):
    return [line for line in lines if re.search(pattern, line)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_hot_loops_are_vector_code(dtype, monkeypatch):
    """Loops do all their arithmetic on whole vector registers; what is left over is done one by one."""
    import llvmlite.binding as binding

    compiler._target()
    if not binding.get_host_cpu_features().get("avx2"):
        pytest.skip("this processor has no AVX2")
    letter = "s" if dtype == "float32" else "d"
    arithmetic = rf"\bv(?:div|mul|add|sub|fn?m(?:add|sub)\d+)[ps]{letter}\b"
    for text in _texts(dtype, monkeypatch):
        loops = _innermost_loops(compiler.assembly(text))
        packed = [lines for lines in loops if _with(lines, rf"\bv(?:div|mul)p{letter}\b.*%[yz]mm")]
        assert len(packed) > 1
        for lines in packed:
            assert not _with(lines, rf"\bv?(?:div|sqrt|mul)s{letter}\b|\bcall")
            assert all(re.search(rf"p{letter}\b.*%[yz]mm", line) for line in _with(lines, arithmetic))
        divisions = [lines for lines in loops if _with(lines, rf"\bvdivs{letter}\b")]
        assert 0 < len([lines for lines in packed if _with(lines, rf"\bvdivp{letter}\b")]) >= len(divisions)


def test_the_check_of_vector_code_finds_scalar_code(monkeypatch):
    """The same text without optimisation has no packed loop."""
    text = re.sub(
        r"(define .*\))(?: noinline)? \"prefer-vector-width\"=\"512\" {",
        r"\1 noinline optnone {",
        _texts("float32", monkeypatch)[0],
    )
    assert "optnone" in text
    assert not any(_with(lines, r"\bvdivps\b") for lines in _innermost_loops(compiler.assembly(text)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("name", "bound"), [("tanh", 12.0), ("sigmoid", 30.0), ("exp", 80.0)])
def test_functions_are_as_exact_as_they_say(name, bound, dtype):
    """Against NumPy in extended precision, over the range and at its ends: tanh absolutely, the others
    relatively."""

    def cell(x, h):
        y = getattr(tg, name)(x)
        return y, h + y

    edges = [0.0, -0.0, 1e-30, -1e-30, 1e-8, 0.624, 0.626, -0.625, bound, -bound]
    x = np.concatenate([np.linspace(-bound, bound, 20001), np.geomspace(1e-12, 1, 2000), edges]).astype(dtype)
    with tg.no_grad():
        found = (
            compiled_scan(cell, tg.tensor(x.reshape(1, 1, -1)), tg.zeros((1, x.size), dtype))[0]
            .numpy()
            .ravel()
        )
    wide = x.astype(np.longdouble)
    expected = {"tanh": np.tanh, "exp": np.exp, "sigmoid": lambda v: 1 / (1 + np.exp(-v))}[name](wide)
    error = np.abs(found - expected) / (1 if name == "tanh" else np.abs(expected))
    assert error.max() <= (3e-7 if dtype == "float32" else 1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_logarithm_is_as_exact_as_it_says(dtype):
    """Relatively, from the smallest number to the largest and around 1, where it is small itself."""
    limits = np.finfo(dtype)
    near = 1 + np.geomspace(limits.eps, 0.5, 3000)
    powers = np.linspace(limits.minexp - limits.nmant, limits.maxexp, 20001).astype(int)
    x = np.concatenate([np.ldexp(np.linspace(0.5, 1, 20001, endpoint=False), powers), near, 1 / near])
    x = np.concatenate(
        [
            x.astype(dtype),
            np.array([0.0, -0.0, -1.0, np.inf, -np.inf, np.nan, 1.0, limits.smallest_normal], dtype),
        ]
    )

    def cell(x, h):
        return tg.log(x), h + x

    with tg.no_grad(), np.errstate(all="ignore"):
        found = (
            compiled_scan(cell, tg.tensor(x.reshape(1, 1, -1)), tg.zeros((1, x.size), dtype))[0]
            .numpy()
            .ravel()
        )
        expected = np.log(x.astype(np.longdouble))
    assert tg.explain(cell).startswith("cell: machine code\n")
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite].astype(dtype))
    error = np.abs(found[finite] - expected[finite]) / np.maximum(np.abs(expected[finite]), limits.tiny)
    assert error.max() <= (3e-7 if dtype == "float32" else 5e-16)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_at_the_end_of_the_range(dtype):
    """Infinities and not-a-numbers come out of machine code as they come out of NumPy."""
    x = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 700.0, -700.0, 90.0, -90.0, 0.0], dtype)

    def cell(x, h):
        alone = [f(x) for f in (tg.tanh, tg.sigmoid, tg.exp, tg.relu, tg.abs, tg.sign)]
        return [*alone, tg.maximum(x, h), tg.minimum(x, h), tg.clip(x, -1, 1)], h + tg.tanh(x)

    with np.errstate(all="ignore"), tg.no_grad():
        found, expected = (
            scan(cell, tg.tensor(x.reshape(1, 1, -1)), tg.zeros((1, x.size), dtype))[0]
            for scan in (compiled_scan, eager)
        )
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            a.numpy(),
            b.numpy(),
            rtol=1e-5 if dtype == "float32" else 1e-12,
            atol=3e-7 if dtype == "float32" else 1e-300,
        )
