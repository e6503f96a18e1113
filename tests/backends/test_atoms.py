"""Atoms of every kind of numbers, in LLVM and in C: what NumPy makes of them."""

from __future__ import annotations

import ctypes
import itertools
import shutil
import subprocess

import numpy as np
import pytest

from tests.chain_rule.ulp import called, llvm_loop, prototype
from tinygrad_rnn.backends import c, cuda
from tinygrad_rnn.backends.atoms import KINDS, Counter, Printer, Value, kind_of
from tinygrad_rnn.backends.base import Unsupported
from tinygrad_rnn.backends.native import compiler
from tinygrad_rnn.backends.native.emit import Emitter, table_lines

DTYPES = {kind: np.dtype(name) for name, kind in KINDS.items()}
NUMBERS = {
    "i1": [False, True],
    "i32": [0, 1, -1, 2, 7, -7, 2**31 - 1, -(2**31), 12345],
    "i64": [0, 1, -1, 2, 7, -7, 2**63 - 1, -(2**63), 2**40 + 3],
    "f32": [0.0, -0.0, 1.0, -1.5, 2.5, -0.3, 1e30, -1e30, 2.0**31, np.inf, -np.inf, np.nan],
    "f64": [0.0, -0.0, 1.0, -1.5, 2.5, -0.3, 1e300, -1e300, 2.0**63, np.inf, -np.inf, np.nan],
}

INTEGERS, FLOATS = ("i32", "i64"), ("f32", "f64")
ALL = ("i1", *INTEGERS, *FLOATS)
ATOMS = {
    # name: (kinds that it takes, the function in atoms, NumPy's)
    "add": (ALL, lambda k, a, b: a + b, np.add),
    "sub": (INTEGERS + FLOATS, lambda k, a, b: a - b, np.subtract),
    "mul": (ALL, lambda k, a, b: a * b, np.multiply),
    "div": (FLOATS, lambda k, a, b: a / b, np.divide),
    "quot": (INTEGERS, lambda k, a, b: k.binary("quot", a, k.select((b == 0) | (b == -1), 1, b)), lambda a,
    b: towards_zero(a, b)),
    "neg": (INTEGERS + FLOATS, lambda k, a, b: -a, lambda a, b: -a),
    "abs": (INTEGERS + FLOATS, lambda k, a, b: k.abs(a), lambda a, b: np.abs(a)),
    "fma": (FLOATS, lambda k, a, b: k.fma(a, 2.0, b), lambda a, b: (a * a.dtype.type(2)) + b),
    "sqrt": (FLOATS, lambda k, a, b: k.sqrt(a), lambda a, b: np.sqrt(a)),
    "copysign": (FLOATS, lambda k, a, b: k.copysign(a, b), np.copysign),
    "rint": (FLOATS, lambda k, a, b: k.rint(a), lambda a, b: np.rint(a)),
    "floor": (FLOATS, lambda k, a, b: k.floor(a), lambda a, b: np.floor(a)),
    "ceil": (FLOATS, lambda k, a, b: k.ceil(a), lambda a, b: np.ceil(a)),
    "trunc": (FLOATS, lambda k, a, b: k.trunc(a), lambda a, b: np.trunc(a)),
    "and": (("i1", *INTEGERS), lambda k, a, b: a & b, np.bitwise_and),
    "or": (("i1", *INTEGERS), lambda k, a, b: a | b, np.bitwise_or),
    "xor": (("i1", *INTEGERS), lambda k, a, b: a ^ b, np.bitwise_xor),
    "not": (("i1", *INTEGERS), lambda k, a, b: ~a, lambda a, b: ~a),
    "shl": (INTEGERS, lambda k, a, b: a << 3, lambda a, b: a << 3),
    "shr": (INTEGERS, lambda k, a, b: a >> 3, lambda a, b: a >> 3),
    "lshr": (INTEGERS, lambda k, a, b: k.lshr(a, 3), lambda a,
    b: (a.view(f"u{a.itemsize}") >> 3).view(a.dtype)),
    "lt": (ALL, lambda k, a, b: a < b, np.less),
    "le": (ALL, lambda k, a, b: a <= b, np.less_equal),
    "gt": (ALL, lambda k, a, b: a > b, np.greater),
    "ge": (ALL, lambda k, a, b: a >= b, np.greater_equal),
    "eq": (ALL, lambda k, a, b: a == b, np.equal),
    "ne": (ALL, lambda k, a, b: a != b, np.not_equal),
    "select": (ALL, lambda k, a, b: k.select(b != a, a, b), lambda a, b: np.where(b != a, a, b)),
    "bits": (FLOATS, lambda k, a, b: k.bits(a), lambda a, b: a.view(f"i{a.itemsize}")),
    "floating": (INTEGERS, lambda k, a, b: k.floating(a), lambda a, b: a.view(f"f{a.itemsize}")),
    **{
        f"to {kind}": (ALL, lambda k, a, b, kind=kind: k.convert(a, kind), lambda a, b,
        kind=kind: a.astype(DTYPES[kind]))
        for kind in NUMBERS
    },
}  # fmt: skip


def towards_zero(a, b):
    b = np.where((b == 0) | (b == -1), b.dtype.type(1), b)
    return (a - np.fmod(a, b)) // b


CASES = [(name, kind) for name, (kinds, *_) in ATOMS.items() for kind in kinds]


def operands(kind):
    pairs = np.array(list(itertools.product(NUMBERS[kind], repeat=2)), DTYPES[kind])
    return pairs[:, 0].copy(), pairs[:, 1].copy()


def expected(name, kind):
    with np.errstate(all="ignore"):
        return ATOMS[name][2](*operands(kind))


def same(found, expected, label):
    """To the last bit; one NaN is as good as another."""
    assert found.dtype == expected.dtype, label
    if found.dtype.kind == "f":
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected), str(label))
        found, expected = found[~np.isnan(found)], expected[~np.isnan(expected)]
    np.testing.assert_array_equal(
        found.view(f"u{found.itemsize}"), expected.view(f"u{found.itemsize}"), str(label)
    )


def same_kind(value, kind):
    """A value that is of the kind of NumPy's result already."""
    assert value.kind == kind
    return value


@pytest.mark.parametrize(
    ("name", "kind", "rounds"),
    [(*case, True) for case in CASES]
    + [(*case, False) for case in CASES if case[0] in ("rint", "floor", "ceil", "trunc")],
)
def test_llvm(name, kind, rounds):
    result, traits = kind_of(expected(name, kind).dtype), {} if rounds else {"rounds": False}
    text = llvm_loop(
        lambda k, a, b: same_kind(ATOMS[name][1](k, a, b), result), [kind, kind], result, **traits
    )
    loop = prototype(2)(compiler.compiled(text, ("loop",))["loop"])
    same(called(loop, [kind, kind], result, operands(kind)), expected(name, kind), (name, kind))


def test_c(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler 'cc' here")
    texts, loops = [c.PRELUDE], {}
    for i, (name, kind) in enumerate(CASES):
        function, result = ATOMS[name][1], kind_of(expected(name, kind).dtype)
        texts.append(c.loop(f"loop{i}", function, [kind, kind], result))
        loops[(name, kind)] = f"loop{i}", result
    (tmp_path / "atoms.c").write_text("\n".join(texts))
    command = (
        "cc -std=c99 -O1 -Wall -Werror -Wno-unused-parameter -ffp-contract=off -shared -fPIC "
        f"{tmp_path}/atoms.c -o {tmp_path}/atoms.so -lm"
    )
    done = subprocess.run(command.split(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    library = ctypes.CDLL(str(tmp_path / "atoms.so"))
    for (name, kind), (symbol, result) in loops.items():
        found = called(prototype(2)((symbol, library)), [kind, kind], result, operands(kind))
        same(found, expected(name, kind), (name, kind))


class Noted(dict):
    """Notes what is taken from it."""

    def __init__(self, *args):
        super().__init__(*args)
        self.taken = set()

    def __getitem__(self, key):
        self.taken.add(key)
        return super().__getitem__(key)


@pytest.mark.parametrize("make", [lambda: Emitter(), c.CPrinter, cuda.Emitter], ids=["LLVM", "C", "CUDA"])
def test_no_language_has_an_atom_that_is_not_tried(make):
    k = make()
    k.ATOMS, k.fused, k.rounds = Noted(k.ATOMS), True, True
    for name, kind in CASES:
        ATOMS[name][1](k, Value(k, "a", kind), Value(k, "b", kind))
    replaced = {name for name in k.ATOMS if {f"{name}32", f"{name}64"} <= set(k.ATOMS)}
    assert set(k.ATOMS) - k.ATOMS.taken == replaced


# -- kinds ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("a", "b"), list(itertools.product(NUMBERS, repeat=2)))
def test_kinds_join_as_numpys_do(a, b):
    k = Emitter()
    joined = k.joint(Value(k, "%a", a), Value(k, "%b", b))
    assert {x.kind for x in joined} == {kind_of(np.result_type(DTYPES[a], DTYPES[b]))}


@pytest.mark.parametrize("number", [True, 3, 2.5])
@pytest.mark.parametrize("kind", NUMBERS)
def test_pythons_numbers_take_the_kind_of_what_they_meet(kind, number):
    k = Emitter()
    array = np.zeros(1, DTYPES[kind])
    assert k.joint(Value(k, "%a", kind), number)[1].kind == kind_of((array + number).dtype)


def test_weak_numbers_do_so_too_and_stay_weak_among_themselves():
    k = Emitter()
    rate, decay, x = Value(k, "%r", "f64", weak=True), Value(k, "%d", "f64", weak=True), Value(k, "%x", "f32")
    both = rate * decay + 1
    assert (both.kind, both.weak) == ("f64", True)
    assert ((both * x).kind, (both * x).weak) == ("f32", False)


def test_what_there_is_no_atom_for():
    k = Emitter()
    with pytest.raises(Unsupported, match="div"):
        Value(k, "%a", "i64") / 2
    with pytest.raises(Unsupported, match="float16"):
        kind_of("float16")


@pytest.mark.parametrize("make", [lambda: Emitter(), c.CPrinter], ids=["LLVM", "C"])
def test_tables_have_one_name_for_one_content(make):
    k = make()
    index = Value(k, "i", "i64")
    values = [k.lookup(table, index, "f64") for table in ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [1.0, 2.0, 4.0])]
    assert [v.kind for v in values] == ["f64"] * 3
    assert len(k.tables) == 2
    text = "\n".join(table_lines(k.tables) if isinstance(k, Emitter) else k.table_lines())
    assert all(text.count(f"{name} ") + text.count(f"{name}[") == 1 for name in k.tables)


def test_cost_counts_atoms_and_a_quotient_as_more():
    k = Counter()
    x = Value(k, "", "f64")
    k.fma(x, x, x) + 1 / x
    assert k.cost == 10
    assert isinstance(k, Printer)
