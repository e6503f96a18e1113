"""Every elementwise row as code: what it computes, how exactly, in which language, by which instructions."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess

import llvmlite.binding as llvm
import mpmath
import numpy as np
import pytest

from tests.chain_rule import minimax, ulp
from tests.chain_rule.minimax import value_at
from tests.chain_rule.ulp import (
    CASES,
    DTYPES,
    ELEMENTWISE,
    FLOATS,
    INEXACT,
    OPERANDS,
    SPECIAL,
    called,
    errors,
    machine,
    points,
    wide,
)
from tinygrad_rnn import backends
from tinygrad_rnn.backends import c, cuda
from tinygrad_rnn.backends.atoms import Value
from tinygrad_rnn.backends.native import compiler
from tinygrad_rnn.chain_rule import choices, composition, lowering, rows


def label(value):
    return " ".join(map(str, value)) if isinstance(value, tuple) else None


every_case = pytest.mark.parametrize(("name", "params"), CASES, ids=label)
both_floats = pytest.mark.parametrize("kind", FLOATS)


def numpys(name, params, operands):
    """What the NumPy backend's loop makes of operands, which is the meaning."""
    with np.errstate(all="ignore"):
        return ELEMENTWISE[name].forward(backends.get("numpy"), *operands, *params)


def grid(name, kind):
    """All combinations of numbers where functions have ends, signs and kinks."""
    if OPERANDS[name] == 1:
        return [ulp.special(kind)]
    return [axis.ravel() for axis in np.meshgrid(*[np.array(SPECIAL, DTYPES[kind])] * OPERANDS[name])]


def where_defined(name, params, operands, *results):
    """Results without those of casts to integers of what no integer is near, which are anything in NumPy."""
    if name != "astype" or params[0].kind != "i":
        return results
    return [y[np.abs(operands[0]) < 2.0**31] for y in results]


# -- what there is -------------------------------------------------------------------------------------------


def test_every_elementwise_row_has_a_lowering_and_is_tried():
    """A composition cannot be filed without one; what is elementwise is known by having one."""
    with pytest.raises(TypeError, match="lowering"):
        composition.composition("a function without a lowering")
    by_axis = {"argmax", "argmin", "argsort", "all", "any", "searchsorted"}
    assert {row.name for row in choices.values() if not row.elementwise} == by_axis
    assert {row.name for row in rows.of("composition") if not row.elementwise} == {"solve", "det"}
    assert {name for name, _ in CASES} == set(ELEMENTWISE)


def test_how_exact_each_row_is_stands_in_its_row_and_in_the_table():
    for row in ELEMENTWISE.values():
        assert row.lowering.ulp in (0.5, 1, 2, 4)
    assert {row.name for row in rows.of("composition") if row.elementwise and row.lowering.ulp == 2} == {
        "exp", "exp2", "log", "tanh", "sigmoid", "sin", "cos", "tan",
    }  # fmt: skip
    table = repr(rows)
    assert re.search(r"^composition +tanh +tanh +2 ulp +dx = ", table, re.MULTILINE)
    assert re.search(r"^addition +add +\+ +½ ulp +da = ", table, re.MULTILINE)


@pytest.mark.parametrize("bits", [24, 53])
@pytest.mark.parametrize("name", minimax.POLYNOMIALS)
def test_coefficients_are_the_functions(name, bits):
    """Their error by the function that they stand for, between the points that they were fitted at too."""
    module, table = name.split(".")
    coefficients = getattr(getattr(lowering, module), table)["f32" if bits == 24 else "f64"]
    function, weight, first, ends, degrees = minimax.POLYNOMIALS[name]
    assert len(coefficients) == degrees[bits == 53] + 1
    with mpmath.workprec(200):
        for x in mpmath.linspace(first, ends[bits == 53], 301)[1:-1:2]:
            error = weight(x) * (function(x) - value_at([mpmath.mpf(a) for a in coefficients], x))
            assert abs(error) < mpmath.mpf(2) ** -(bits + 1.7)


# -- what is computed ----------------------------------------------------------------------------------------


@both_floats
@pytest.mark.parametrize(("name", "params"), INEXACT, ids=label)
def test_errors_stay_below_what_the_row_says(name, params, kind):
    error, where = ulp.measured(name, params, kind, points(name, kind, 20_000, seed=1), 600)
    assert error <= ELEMENTWISE[name].lowering.ulp, where


@both_floats
@every_case
def test_ends_signs_and_nan_are_numpys(name, params, kind):
    operands = grid(name, kind)
    found, expected = machine(name, params, kind, operands), numpys(name, params, operands)
    assert found.dtype == expected.dtype
    same = (found == expected) | ((found != found) & (expected != expected))
    bound = ELEMENTWISE[name].lowering.ulp
    if bound > 1:
        same |= np.isfinite(expected) & (
            errors(name, kind, operands, found, wide(name, params, kind, operands)) <= bound
        )
    if expected.dtype.kind == "f" and name not in ("maximum", "minimum", "clip", "relu"):
        # those take either zero, as the processor that NumPy runs on does
        same &= (found != 0) | (np.signbit(found) == np.signbit(expected))
    (same,) = where_defined(name, params, operands, same)
    assert same.all(), [(*(x[i] for x in operands), found[i], expected[i]) for i in np.flatnonzero(~same)[:5]]


@both_floats
@pytest.mark.parametrize(
    ("name", "params"), [case for case in CASES if ELEMENTWISE[case[0]].lowering.ulp == 0.5], ids=label
)
def test_what_is_rounded_once_is_numpys_to_the_last_bit(name, params, kind):
    operands = points(name, kind, 20_000)
    results = machine(name, params, kind, operands), numpys(name, params, operands)
    np.testing.assert_array_equal(*where_defined(name, params, operands, *results))


@both_floats
def test_quotients_are_rounded_down_as_numpys(kind):
    """To the last bit where integers have all their digits; beyond, the last one may differ."""
    random = np.random.default_rng(0)
    b = random.integers(-1000, 1000, 20_000) * 0.1
    a = np.concatenate([b * random.integers(-99, 99, 20_000), random.normal(size=20_000) * 100])
    few = [x.astype(DTYPES[kind]) for x in (a, np.concatenate([b, random.normal(size=20_000) + 2]))]
    np.testing.assert_array_equal(machine("floor_divide", (), kind, few), numpys("floor_divide", (), few))
    many = points("floor_divide", kind, 20_000)
    found, expected = machine("floor_divide", (), kind, many), numpys("floor_divide", (), many)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(found[~finite], expected[~finite])
    found, expected = found[finite], expected[finite]
    assert (np.abs(found - expected) <= np.spacing(np.abs(expected))).all()


@both_floats
@pytest.mark.parametrize("name", ["mod", "fmod"])
def test_remainders_are_exact(name, kind):
    """However large the quotient is."""
    random, digits = np.random.default_rng(0), np.finfo(DTYPES[kind]).nmant + 1
    b = random.normal(size=40_000) * 10.0 ** random.integers(-3, 4, 40_000)
    a = b * 2.0 ** random.uniform(-3, 2.2 * digits, b.size) * random.choice([-1, 1], b.size)
    whole = random.integers(1, 2**20, b.size)  # multiples and their neighbours
    most = np.log2(float(np.finfo(DTYPES[kind]).max)) - 1
    far = [
        2.0 ** random.uniform(-most - digits, most, b.size) * random.choice([-1, 1], b.size) for _ in range(2)
    ]
    few = np.concatenate(
        [a, np.rint(b) * whole, np.nextafter((b * whole).astype(DTYPES[kind]), np.inf), b, far[0]]
    ).astype(DTYPES[kind])
    many = np.concatenate([b, np.rint(b), b, b * whole, far[1]]).astype(DTYPES[kind])
    found = machine(name, (), kind, [few, many])
    np.testing.assert_array_equal(found, numpys(name, (), [few, many]))
    with mpmath.workprec(2200):
        for x, y, z in zip(few[::200].tolist(), many[::200].tolist(), found[::200].tolist(), strict=True):
            if y and name == "fmod":
                assert z == float(mpmath.sign(x) * mpmath.fmod(abs(mpmath.mpf(x)), abs(mpmath.mpf(y))))


@pytest.mark.parametrize(("kind", "enough"), [("f32", 10.0), ("f64", 20.0)])
def test_saturation_is_exact(kind, enough):
    """So a slope is exactly 0 there, and nothing of a residual passes."""
    x = np.array([enough, 2 * enough, 1e6, 3e38, np.inf], DTYPES[kind])
    for name in ("tanh", "erf"):
        np.testing.assert_array_equal(machine(name, (), kind, [x]), np.ones(5))
        np.testing.assert_array_equal(machine(name, (), kind, [-x]), -np.ones(5))
    np.testing.assert_array_equal(machine("sigmoid", (), kind, [x[1:]]), np.ones(4))
    none = np.array([-105.0 if kind == "f32" else -746.0, -1e30, -np.inf])
    for name in ("sigmoid", "exp", "softplus"):
        np.testing.assert_array_equal(machine(name, (), kind, [none]), np.zeros(3))


@both_floats
def test_results_may_be_denormal(kind):
    info, end = np.finfo(DTYPES[kind]), {"f32": 103.5, "f64": 744.8}[kind]
    x = np.linspace(-end, np.log(float(info.smallest_normal)), 2001).astype(DTYPES[kind])
    for name in ("exp", "sigmoid", "softplus"):
        y = machine(name, (), kind, [x])
        assert ((y > 0) & (y < info.smallest_normal)).sum() > 1900
        assert errors(name, kind, [x], y, wide(name, (), kind, [x])).max() <= 1
    x = np.array([1.0, 3.0, 1000.0, -1.0, -3.0, -1000.0], DTYPES[kind]) * info.smallest_subnormal
    for name in ("tanh", "sin", "tan", "arcsin", "arctan", "sinh", "expm1", "log1p", "arcsinh", "arctanh"):
        np.testing.assert_array_equal(machine(name, (), kind, [x]), x)


NEAREST = {"f32": 16367173 * 2.0**72, "f64": 6381956970095103 * 2.0**797}
"""The numbers of each kind that are nearest to a multiple of π/2 (J.-M. Muller, Elementary Functions)."""


@both_floats
@pytest.mark.parametrize("name", ["sin", "cos", "tan"])
def test_multiples_of_half_pi(name, kind):
    multiples = np.pi / 2 * np.array([1.0, 2.0, 3.0, 2.0**20, 1e9, 1e15, 1e22])
    x = np.array([NEAREST[kind], *multiples, np.finfo(DTYPES[kind]).max], DTYPES[kind])
    y = machine(name, (), kind, [x])
    assert max(ulp.exact_error(name, kind, [a], b) for a, b in zip(x, y, strict=True)) <= 2


@both_floats
def test_processors_without_fma_and_rounding(kind):
    """What is written for them, run here."""
    for name, params in CASES:
        operands = [
            np.concatenate(parts) for parts in zip(points(name, kind, 3000), grid(name, kind), strict=True)
        ]
        found, bound = (
            machine(name, params, kind, operands, fused=False, rounds=False),
            ELEMENTWISE[name].lowering.ulp,
        )
        if bound <= 1:
            np.testing.assert_array_equal(found, machine(name, params, kind, operands), label((name, params)))
        else:
            assert errors(name, kind, operands, found, wide(name, params, kind, operands)).max() <= bound, (
                name,
                params,
            )


# -- printers ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def compiled_c(tmp_path_factory):
    """compiled_c(*options) → [(kind, name, params, run)]: the loops of all rows in C, run(operands)."""

    def build(*options):
        if shutil.which("cc") is None:
            pytest.skip("there is no C compiler 'cc' here")
        folder, texts, loops = tmp_path_factory.mktemp("c"), [c.PRELUDE], []
        for kind in FLOATS:
            for name, params in CASES:
                kinds, result = [kind] * OPERANDS[name], ulp.result_kind(name, params, kind)
                loops.append((kind, name, params, kinds, result))
                function = ulp.expression(name, params)
                texts.append(c.loop(f"loop{len(loops) - 1}", function, kinds, result, compiler.has("fma")))
        (folder / "loops.c").write_text("\n".join(texts))
        command = ["cc", "-std=c99", "-Wall", "-Werror", "-ffp-contract=off", "-shared", "-fPIC", *options]
        command += [str(folder / "loops.c"), "-o", str(folder / "loops.so"), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        library = ctypes.CDLL(str(folder / "loops.so"))

        def run(i, kinds, result):
            return lambda operands: called(
                ulp.prototype(len(kinds))((f"loop{i}", library)), kinds, result, operands
            )

        return [(*case, run(i, kinds, result)) for i, (*case, kinds, result) in enumerate(loops)]

    return build


def test_c_is_the_machine_code_to_the_last_bit(compiled_c):
    for kind, name, params, run in compiled_c("-O1", "-march=native"):
        operands = points(name, kind, 4000, seed=2)
        found, expected = run(operands), machine(name, params, kind, operands)
        np.testing.assert_array_equal(found, expected, label((kind, name, *params)))
        if found.dtype.kind == "f":
            numbers = found == found
            np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(expected[numbers]))


def test_c_does_nothing_undefined(compiled_c, capfd):
    for kind, name, params, run in compiled_c("-O1", "-fsanitize=undefined,float-cast-overflow"):
        run(points(name, kind, 400))
        run(grid(name, kind))
        assert capfd.readouterr().err == "", (kind, name, params)


@pytest.mark.parametrize("backend", ["cupy"], indirect=True)
@both_floats
def test_cuda_is_within_the_bounds_too(kind, backend):
    """One kernel of all rows, compiled as C by the stand-in."""
    device, real = backends.current(), "float" if kind == "f32" else "double"
    emitter, pointers, arrays, stores = cuda.Emitter(), [], [], []

    def array(content, constant=""):
        pointers.append(f"{constant}{real}* p{len(arrays)}")
        arrays.append(device.from_host(content))
        return f"p{len(arrays) - 1}[b]"

    operands = {case: points(case[0], kind, 1000, seed=3) for case in CASES}
    for (name, params), xs in operands.items():
        values = [Value(emitter, array(x, "const "), kind) for x in xs]
        y = emitter.as_kind(ulp.expression(name, params)(emitter, *values), kind)
        stores.append(f"{array(np.empty_like(xs[0]))} = {y.text};")
    count = min(x.size for x in arrays)
    lines = ["for (long long b = 0; b < rows; b++) {", *emitter.lines, *stores, "}"]
    text = "\n".join(
        [*emitter.table_lines(), *cuda.kernel("every_row", 32, [*pointers, "long long rows"], lines)]
    )
    device.kernel(text, "every_row")((1, 1), (1,), (*arrays, count))
    results = iter(device.to_host(x)[:count] for x in arrays)
    for (name, params), xs in operands.items():
        xs, y = [next(results) for _ in xs], next(results)
        bound = ELEMENTWISE[name].lowering.ulp
        if bound <= 1:
            np.testing.assert_array_equal(
                y, machine(name, params, kind, xs).astype(y.dtype), label((name, params))
            )
        else:
            assert errors(name, kind, xs, y, wide(name, params, kind, xs)).max() <= bound, (name, params)


# -- instructions --------------------------------------------------------------------------------------------

TARGETS = {
    "SSE2": ("x86_64-unknown-linux-gnu", "x86-64"),
    "AVX2": ("x86_64-unknown-linux-gnu", "haswell"),
    "AVX-512": ("x86_64-unknown-linux-gnu", "skylake-avx512"),
    "AArch64": ("aarch64-unknown-linux-gnu", "generic"),
}
SCALAR = re.compile(r"^.* = (?:f\w+ |(?:tail )?call )(?:float|double) (?!@llvm.fabs).*$", re.MULTILINE)
SCALAR_INSTRUCTION = re.compile(
    r"^\s+(?:v?(?:add|sub|mul|div|sqrt|round|cvt\w*2|fn?m(?:add|sub)\d+)s[sd]\s|f(?:n?m?(?:add|sub|mul)|div|sqrt|rint\w)\s+[sd]\d).*$",
    re.MULTILINE,
)
CALL = re.compile(r"^\s+(callq?|bl|blr|b\s+[a-z]\w*|jmp\s+[a-z]\w*)\s", re.MULTILINE)


def vector_loop(assembly):
    """The first loop, which is that over vectors; the other does what is left."""
    for block in re.split(r"\n(?=\.LBB)", assembly):
        label = block.split(":")[0]
        if re.search(rf"\s{re.escape(label)}$", block, re.MULTILINE):
            return block
    raise AssertionError(f"no loop: {assembly}")


@pytest.mark.each_value
@pytest.mark.parametrize("target", TARGETS)
@both_floats
def test_loops_are_vector_code_without_calls(kind, target):
    """With and without fma and rounding, all arithmetic of a loop is on vectors. Only tables are looked up
    one by one.

    Both as LLVM has it and in the assembly: that vectors are not taken apart for want of an instruction.
    """
    triple, cpu = TARGETS[target]
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    processor = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, opt=3)
    modern = target != "SSE2"
    for name, params in CASES:
        if name == "astype" and params[0].kind == "i":  # most processors convert to 64 bits one by one
            continue
        kinds, result = [kind] * OPERANDS[name], ulp.result_kind(name, params, kind)
        text = ulp.llvm_loop(ulp.expression(name, params), kinds, result, fused=modern, rounds=modern)
        module = compiler._optimised(f'target triple = "{triple}"\n{text}', processor)
        loops = [
            block for block in re.split(r"\n(?=[\w.]+:)", str(module)) if block.startswith("vector.body")
        ]
        assert len(loops) == 1, (name, params)
        assert re.search(r"store <\d+ x ", loops[0]), (name, params)
        assembly = processor.emit_assembly(module)
        assert not CALL.findall(assembly), (name, params)
        if modern:  # older processors find roots one by one as fast
            assert not SCALAR.findall(loops[0]), (name, params)
            assert not SCALAR_INSTRUCTION.findall(vector_loop(assembly)), (name, params)
            assert name != "tanh" or SCALAR_INSTRUCTION.search(assembly)  # in the loop over what is left
