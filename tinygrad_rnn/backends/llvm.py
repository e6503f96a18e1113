"""Machine code for the NumPy backend: LLVM text, compiled in memory by llvmlite (the compiler inside Numba), kept on disk.

The text holds no sizes, so layers of one structure share one piece of code, whatever their sizes. Inner loops carry the promise that their
accesses do not depend on each other; so the vectoriser needs no checks for overlapping arrays, which it gives up on when there are many.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import math
import os
import tempfile
import zlib
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy

from .base import CACHE_LINE

FLOATS = {numpy.dtype(numpy.float32): "float", numpy.dtype(numpy.float64): "double"}
"""LLVM's names of the floats that code is written for."""

_NAMES = FLOATS | {numpy.dtype(numpy.int64): "i64", numpy.dtype(numpy.bool_): "i8"}


def type_name(dtype: Any) -> str:
    """LLVM's name for a dtype."""
    return _NAMES[dtype]


# -- compiling and keeping ------------------------------------------------------------------------------------------------------------


@functools.cache
def _target() -> tuple[Any, Any]:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
    )
    return llvm, machine


@functools.cache
def available() -> bool:
    """Whether there is an llvmlite with LLVM's present pass manager, 0.45 or newer."""
    try:
        import llvmlite.binding as llvm
    except ImportError:
        return False
    return hasattr(llvm, "create_pass_builder")


def _optimised(text: str) -> Any:
    llvm, machine = _target()
    module = llvm.parse_assembly(text)
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=3)
    options.loop_vectorization = True
    options.loop_unrolling = False
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return module


def assembly(text: str) -> str:
    """What the processor will run, to be read."""
    return str(_target()[1].emit_assembly(_optimised(text)))


def cache_folder() -> Path:
    """Where compiled code is kept: ``TINYGRAD_RNN_CACHE``, or a folder of the user's cache. It can be moved and deleted at any time."""
    chosen = os.environ.get("TINYGRAD_RNN_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tinygrad_rnn"


def _kept_code(path: Path) -> bytes | None:
    """The code in a cache entry; None where there is none, or it is damaged or of another kind."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    code = content[8:]
    return code if content[:8] == _seal(code) else None


def _seal(code: bytes) -> bytes:
    return b"tgr1" + zlib.crc32(code).to_bytes(4, "little")


def _keep(path: Path, code: bytes) -> None:
    """Write a cache entry in one piece, so that two processes may do so at once; a cache that cannot be written is no error."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_seal(code) + code)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise


_engines: list[Any] = []


@functools.cache
def compiled(text: str, names: tuple[str, ...]) -> dict[str, int]:
    """The addresses of functions of a text: compiled, or taken from the cache."""
    llvm, machine = _target()
    salt = f"{llvm.get_host_cpu_name()} {llvm.get_host_cpu_features().flatten()} {llvm.llvm_version_info}"
    name = hashlib.sha256(f"{salt}\n{text}".encode()).hexdigest()
    path = cache_folder() / f"{name}.o"
    code = _kept_code(path)
    if code is None:
        code = bytes(machine.emit_object(_optimised(text)))
        _keep(path, code)
    empty = llvm.parse_assembly("")
    engine = llvm.create_mcjit_compiler(empty, llvm.Target.from_default_triple().create_target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _engines.append(engine)  # the code lives as long as its engine; two threads may have made one each
    return {function: engine.get_function_address(function) for function in names}


# -- text ---------------------------------------------------------------------------------------------------------------------------


def vectors(kind: str) -> tuple[int, str, str, int]:
    """Of the processor's vectors: how many elements they have, LLVM's type, how its functions of them end, and bytes of an element."""
    size = 4 if kind == "float" else 8
    lanes = vector_bytes() // size
    return lanes, f"<{lanes} x {kind}>", f"v{lanes}f{8 * size}", size


def masked(kind: str) -> list[str]:
    """What loads and stores the elements of a vector that a mask names."""
    lanes, vector, suffix, _ = vectors(kind)
    return [
        f"declare {vector} @llvm.masked.load.{suffix}.p0(ptr, i32, <{lanes} x i1>, {vector})",
        f"declare void @llvm.masked.store.{suffix}.p0({vector}, ptr, i32, <{lanes} x i1>)",
    ]


def splat(name: str, scalar: str, kind: str, lanes: int) -> list[str]:
    """A vector whose elements are all the same."""
    vector = f"<{lanes} x {kind}>"
    return [
        f"  %{name}.one = insertelement {vector} poison, {kind} {scalar}, i32 0",
        f"  %{name} = shufflevector {vector} %{name}.one, {vector} poison, <{lanes} x i32> zeroinitializer",
    ]


# -- the processor --------------------------------------------------------------------------------------------------------------------


@functools.cache
def vector_bytes() -> int:
    """The width of the processor's vectors."""
    features = _target()[0].get_host_cpu_features()
    return 64 if features.get("avx512f") else 32 if features.get("avx2") else 16


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's names for them, in <malloc.h>


@functools.cache
def keep_memory() -> None:
    """Ask the C library to keep up to 256 MiB of freed memory for the next array, instead of returning it to the system at once.

    A training step makes and drops the same arrays again and again; taking every page of them anew is half the time of a small one.
    Where there is no ``mallopt`` nothing happens.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
        mallopt(_TRIM_THRESHOLD, 256 << 20)


def aligned(shape: tuple[int, ...], dtype: Any) -> numpy.ndarray:
    """An empty array that begins with a cache line: a vector that lies in two of them takes twice as long to load."""
    size = math.prod(shape) * dtype.itemsize
    room = numpy.empty(size + CACHE_LINE, numpy.uint8)
    return numpy.ndarray(shape, dtype, room, -address(room) % CACHE_LINE)


def numbers(values: Sequence[int]) -> array[int]:
    """Whole numbers and addresses in a row, as functions here read them; its ``buffer_info`` says where."""
    return array("q", values)


def address(block: Any) -> int:
    """Where an array begins; ``ctypes.data`` of NumPy's says the same, six times slower."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(block))
    except (TypeError, ValueError):  # read-only, empty, or a part with gaps
        return int(block.ctypes.data)


# -- elementwise functions ------------------------------------------------------------------------------------------------------------

_BOTH = """
declare {T} @llvm.sqrt.{S}({T})
declare {T} @llvm.fabs.{S}({T})
declare {T} @llvm.rint.{S}({T})
declare {T} @llvm.copysign.{S}({T}, {T})
declare {T} @llvm.fma.{S}({T}, {T}, {T})
declare {T} @llvm.maximum.{S}({T}, {T})

define internal {T} @exp_{S}({T} %x0) alwaysinline {
  ; 2^k exp(r), |r| <= log(2)/2
  %lo = fcmp olt {T} %x0, {LEAST}
  %x1 = select i1 %lo, {T} {LEAST}, {T} %x0
  %hi = fcmp ogt {T} %x1, {MOST}
  %x2 = select i1 %hi, {T} {MOST}, {T} %x1
  %nan = fcmp uno {T} %x0, %x0
  %x = select i1 %nan, {T} 0.0, {T} %x2
  %kx = fmul {T} %x, {LOG2E}
  %kf = call {T} @llvm.rint.{S}({T} %kx)
  %r1 = call {T} @llvm.fma.{S}({T} %kf, {T} {LN2HI}, {T} %x)
  %r = call {T} @llvm.fma.{S}({T} %kf, {T} {LN2LO}, {T} %r1)
  {E}
  %k = fptosi {T} %kf to {I}
  %ka = ashr {I} %k, 1
  %kb = sub {I} %k, %ka
  %ea = add {I} %ka, {BIAS}
  %eb = add {I} %kb, {BIAS}
  %ba = shl {I} %ea, {SHIFT}
  %bb = shl {I} %eb, {SHIFT}
  %fa = bitcast {I} %ba to {T}
  %fb = bitcast {I} %bb to {T}
  %y1 = fmul {T} %e, %fa
  %y2 = fmul {T} %y1, %fb
  %y = select i1 %nan, {T} %x0, {T} %y2
  ret {T} %y
}

define internal {T} @sigmoid_{S}({T} %x) alwaysinline {
  ; not by tanh, which would lose all digits far below 0
  %m = fneg {T} %x
  %e = call {T} @exp_{S}({T} %m)
  %d = fadd {T} %e, 1.0
  %y = fdiv {T} 1.0, %d
  ret {T} %y
}

define internal {T} @log_{S}({T} %x) alwaysinline {
  ; x = 2^k m, m between the root of a half and that of two; log(m) = 2 artanh(s), s = (m - 1) / (m + 1)
  %tiny = fcmp olt {T} %x, {NORMAL}
  %up = fmul {T} %x, {RAISE}
  %n = select i1 %tiny, {T} %up, {T} %x
  %less = select i1 %tiny, {T} {RAISED}, {T} 0.0
  %bits = bitcast {T} %n to {I}
  %off = sub {I} %bits, {ROOT}
  %k = ashr {I} %off, {SHIFT}
  %whole = shl {I} %k, {SHIFT}
  %mb = sub {I} %bits, %whole
  %m = bitcast {I} %mb to {T}
  %ki = sitofp {I} %k to {T}
  %kf = fsub {T} %ki, %less
  %f = fsub {T} %m, 1.0
  %d = fadd {T} %m, 1.0
  %s = fdiv {T} %f, %d
  %z = fmul {T} %s, %s
  {L}
  %zl = fmul {T} %z, %l
  %s2 = fadd {T} %s, %s
  %low = fmul {T} %kf, {LOG2LO}
  %rest = call {T} @llvm.fma.{S}({T} %s2, {T} %zl, {T} %low)
  %near = fadd {T} %s2, %rest
  %far = call {T} @llvm.fma.{S}({T} %kf, {T} {LOG2HI}, {T} %near)
  %pos = fcmp ogt {T} %x, 0.0
  %zero = fcmp oeq {T} %x, 0.0
  %bad = select i1 %zero, {T} {MINUS}, {T} {NAN}
  %y1 = select i1 %pos, {T} %far, {T} %bad
  %end = fcmp oeq {T} %x, {PLUS}
  %y = select i1 %end, {T} %x, {T} %y1
  ret {T} %y
}
"""

_TANH_F32 = """
define internal float @tanh_f32(float %x0) alwaysinline {
  ; the 13/6 rational approximation, as in Eigen; beyond the bound it stays at 0.9999998
  %lo = fcmp olt float %x0, {BELOW}
  %x1 = select i1 %lo, float {BELOW}, float %x0
  %hi = fcmp ogt float %x1, {ABOVE}
  %x = select i1 %hi, float {ABOVE}, float %x1
  %z = fmul contract float %x, %x
  {P}
  %num = fmul contract float %x, %p
  {Q}
  %y = fdiv float %num, %q
  ret float %y
}
"""

_TANH_F64 = """
define internal double @tanh_f64(double %x) alwaysinline {
  ; Cephes: a rational function near 0, 1 - 2 / (exp(2|x|) + 1) beyond
  %z = fmul double %x, %x
  {P}
  {Q}
  %pz = fmul double %p, %z
  %pq = fdiv double %pz, %q
  %near = call double @llvm.fma.f64(double %x, double %pq, double %x)
  %a = call double @llvm.fabs.f64(double %x)
  %a2 = fadd double %a, %a
  %e2 = call double @exp_f64(double %a2)
  %d = fadd double %e2, 1.0
  %two = fdiv double 2.0, %d
  %pos = fsub double 1.0, %two
  %far = call double @llvm.copysign.f64(double %pos, double %x)
  %small = fcmp olt double %a, 0.625
  %y = select i1 %small, double %near, double %far
  ret double %y
}
"""


def literal(value: float, kind: str) -> str:
    """A float literal as LLVM wants it: exactly, by its bits as a double."""
    if kind == "float":
        value = float(numpy.float32(value))
    return f"0x{numpy.float64(value).view(numpy.uint64):016X}"


def _horner(name: str, argument: str, coefficients: list[float], kind: str) -> str:
    """A polynomial by Horner's rule with fused multiply-adds; coefficients from the highest power."""
    suffix = {"float": "f32", "double": "f64"}[kind]
    lines, last = [], literal(coefficients[0], kind)
    for i, coefficient in enumerate(coefficients[1:]):
        register = f"%{name}" if i == len(coefficients) - 2 else f"%{name}.{i}"
        lines.append(f"{register} = call {kind} @llvm.fma.{suffix}({kind} {last}, {kind} {argument}, {kind} {literal(coefficient, kind)})")
        last = register
    return "\n  ".join(lines)


_TANH_P = [
    -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-08, 1.48572235717979e-05,
    6.37261928875436e-04, 4.89352455891786e-03,
]  # fmt: skip
_TANH_Q = [1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03]
_CEPHES_TANH_P = [-9.64399179425052238628e-1, -9.92877231001918586564e1, -1.61468768441708447952e3]
_CEPHES_TANH_Q = [1.0, 1.12811678491632931402e2, 2.23548839060100448583e3, 4.84406305325125486048e3]


def _factorials(n: int) -> list[float]:
    values = [1.0]
    for i in range(1, n + 1):
        values.append(values[-1] / i)
    return values[::-1]


@functools.cache
def library(kind: str) -> str:
    """The elementwise functions in one precision: they are inlined into the loops that call them."""
    if kind == "float":
        words = {"T": "float", "S": "f32", "I": "i32", "BIAS": "127", "SHIFT": "23", "ROOT": str(0x3F3504F3)}
        numbers = {"LEAST": -104.0, "MOST": 88.75, "LN2HI": -0.693359375, "LN2LO": 2.12194440e-4}
        numbers |= {"BELOW": -7.905311107635498, "ABOVE": 7.905311107635498}
        numbers["NORMAL"] = 2.0**-126
        tanh, p, q, terms, logs = _TANH_F32, _TANH_P, _TANH_Q, 7, 4
    else:
        words = {"T": "double", "S": "f64", "I": "i64", "BIAS": "1023", "SHIFT": "52", "ROOT": str(0x3FE6A09E667F3BCD)}
        numbers = {"LEAST": -746.0, "MOST": 709.8, "LN2HI": -6.93145751953125e-1, "LN2LO": -1.42860682030941723212e-6}
        numbers["NORMAL"] = 2.0**-1022
        tanh, p, q, terms, logs = _TANH_F64, _CEPHES_TANH_P, _CEPHES_TANH_Q, 13, 11
    numbers |= {"LOG2E": 1.4426950408889634, "LOG2HI": -numbers["LN2HI"], "LOG2LO": -numbers["LN2LO"]}
    numbers |= {"RAISE": 2.0**64, "RAISED": 64.0, "PLUS": math.inf, "MINUS": -math.inf, "NAN": math.nan}
    words |= {name: literal(value, kind) for name, value in numbers.items()}
    words |= {"P": _horner("p", "%z", p, kind), "Q": _horner("q", "%z", q, kind), "E": _horner("e", "%r", _factorials(terms), kind)}
    words["L"] = _horner("l", "%z", [1 / n for n in range(2 * logs + 1, 1, -2)], kind)
    text = _BOTH + tanh
    for name, value in words.items():
        text = text.replace(f"{{{name}}}", value)
    return text


# -- one row on one element -----------------------------------------------------------------------------------------------------------


class Unsupported(Exception):
    """What cannot be written as a loop over elements."""


class Emitter:
    """Writes lines of one function; every row of the elementwise kind has its few instructions here.

    Values are (register, kind), where kind is "float", "double" or "i1".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.suffix = "f32" if kind == "float" else "f64"
        self.lines: list[str] = []
        self._count = 0

    def fresh(self, hint: str = "v") -> str:
        self._count += 1
        return f"%{hint}{self._count}"

    def label(self, hint: str) -> str:
        self._count += 1
        return f"{hint}{self._count}"

    def line(self, text: str) -> None:
        self.lines.append(text)

    def let(self, text: str, hint: str = "v") -> str:
        register = self.fresh(hint)
        self.lines.append(f"{register} = {text}")
        return register

    def number(self, value: float) -> tuple[str, str]:
        return literal(float(value), self.kind), self.kind

    def _float(self, value: tuple[str, str]) -> str:
        register, kind = value
        return self.let(f"uitofp i1 {register} to {self.kind}") if kind == "i1" else register

    def _bool(self, value: tuple[str, str]) -> str:
        register, kind = value
        return register if kind == "i1" else self.let(f"fcmp une {kind} {register}, {literal(0.0, kind)}")

    def apply(self, name: str, operands: list[tuple[str, str]], params: tuple[Any, ...]) -> tuple[str, str]:
        """One row.

        Raises:
            Unsupported: it has no instructions here.
        """
        kind = self.kind
        if name == "where":
            condition = self._bool(operands[0])
            a, b = self._float(operands[1]), self._float(operands[2])
            return self.let(f"select i1 {condition}, {kind} {a}, {kind} {b}"), kind
        if name in _COMPARISONS:
            a, b = (self._float(x) for x in operands)
            return self.let(f"fcmp {_COMPARISONS[name]} {kind} {a}, {b}"), "i1"
        if name in _LOGIC:
            bits = [self._bool(x) for x in operands]
            return self.let(f"{_LOGIC[name]} i1 {bits[0]}, {bits[1] if len(bits) > 1 else 'true'}"), "i1"
        if name == "astype":
            if params[0].kind != "f":
                raise Unsupported("a cast to whole numbers")
            return self._float(operands[0]), kind
        xs = [self._float(x) for x in operands]
        if name in _TESTS:
            size = self.let(f"call {kind} @llvm.fabs.{self.suffix}({kind} {xs[0]})")
            return self.let(f"fcmp {_TESTS[name]} {kind} {size}, {literal(float('inf'), kind)}"), "i1"
        if name in _ARITHMETIC:
            return self.let(f"{_ARITHMETIC[name]} contract {kind} {xs[0]}, {xs[1]}"), kind
        if name in _FUNCTIONS:
            return self.let(f"call {kind} @{_FUNCTIONS[name]}_{self.suffix}({kind} {xs[0]})"), kind
        if name in ("sqrt", "abs"):
            return self.let(f"call {kind} @llvm.{'sqrt' if name == 'sqrt' else 'fabs'}.{self.suffix}({kind} {xs[0]})"), kind
        special = getattr(self, f"_{name}", None)
        if special is None:
            raise Unsupported(f"the operation {name!r}")
        return special(*xs, *params), kind

    def _negative(self, x: str) -> str:
        return self.let(f"fneg {self.kind} {x}")

    def _reciprocal(self, x: str) -> str:
        return self.let(f"fdiv {self.kind} {literal(1.0, self.kind)}, {x}")

    def _relu(self, x: str) -> str:
        below = self.let(f"fcmp olt {self.kind} {x}, {literal(0.0, self.kind)}")
        return self.let(f"select i1 {below}, {self.kind} {literal(0.0, self.kind)}, {self.kind} {x}")

    def _sign(self, x: str) -> str:
        one, zero = literal(1.0, self.kind), literal(0.0, self.kind)
        side = self.let(f"call {self.kind} @llvm.copysign.{self.suffix}({self.kind} {one}, {self.kind} {x})")
        moving = self.let(f"fcmp one {self.kind} {x}, {zero}")
        return self.let(f"select i1 {moving}, {self.kind} {side}, {self.kind} {x}")

    def _extremum(self, test: str, a: str, b: str) -> str:
        wins = self.let(f"fcmp {test} {self.kind} {a}, {b}")
        nan = self.let(f"fcmp uno {self.kind} {a}, {a}")
        first = self.let(f"or i1 {wins}, {nan}")
        return self.let(f"select i1 {first}, {self.kind} {a}, {self.kind} {b}")

    def _maximum(self, a: str, b: str) -> str:
        return self._extremum("ogt", a, b)

    def _minimum(self, a: str, b: str) -> str:
        return self._extremum("olt", a, b)

    def _clip(self, x: str, low: Any, high: Any) -> str:
        if low is not None:
            x = self._extremum("ogt", x, literal(float(low), self.kind))
        return x if high is None else self._extremum("olt", x, literal(float(high), self.kind))

    def _raise_to(self, x: str, exponent: float) -> str:
        whole, rest = divmod(abs(exponent), 1)
        if exponent == 0 or whole > 4 or rest not in (0, 0.5):
            raise Unsupported(f"a power of {exponent}")
        factors = [x] * int(whole)
        if rest:
            factors.append(self.let(f"call {self.kind} @llvm.sqrt.{self.suffix}({self.kind} {x})"))
        y = factors[0]
        for factor in factors[1:]:
            y = self.let(f"fmul contract {self.kind} {y}, {factor}")
        return y if exponent > 0 else self._reciprocal(y)


_ARITHMETIC = {"add": "fadd", "subtract": "fsub", "multiply": "fmul"}
_FUNCTIONS = {"tanh": "tanh", "sigmoid": "sigmoid", "exp": "exp", "log": "log"}
_COMPARISONS = {"equal": "oeq", "not_equal": "une", "less": "olt", "less_equal": "ole", "greater": "ogt", "greater_equal": "oge"}
_TESTS = {"isnan": "uno", "isinf": "oeq", "isfinite": "olt"}
_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "xor"}
