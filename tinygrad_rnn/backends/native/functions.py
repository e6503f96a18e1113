"""The elementwise functions in LLVM text: they are inlined into the loops that call them."""

from __future__ import annotations

import functools
import math

from .emit import literal

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
