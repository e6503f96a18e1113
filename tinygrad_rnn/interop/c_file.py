"""The text of a C file around a step."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from .. import arguments
from ..data import Vocabulary
from ..errors import ArgumentError
from ..sequence import Leaf, StepCode, Stored

_HELPERS = {
    "bits_of_f32": ("float", "int"),
    "bits_of_f64": ("double", "long long"),
    "float_of_i32": ("int", "float"),
    "float_of_i64": ("long long", "double"),
}
"""Functions that give the bits of a number as another one: from which type, and to which."""

_TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "float32": "float",
    "float64": "double",
}
"""How numbers are kept."""

_USE = """\
/*
{file}: one step of a recurrent network, made by tinygrad_rnn. It is C99, and C++; it needs math.h and
nothing else, and asks for no memory.

  {name}_state state;
  {name}_reset(&state);          before a sequence
  {name}_step(&state, {arguments});    for each of its steps

{leaves}

{name}_step returns 0; or 1 where a whole number names no element: then nothing was changed. y may lie where
x does. What a sequence needs is in its state alone, so two states are two sequences.

Elsewhere, #define {macro}_DECLARATIONS_ONLY before #include "{file}"; this file is compiled once.
With GCC or Clang: -std=c99 -O3 -ffp-contract=off, and not -ffast-math.

Bytes: {weights} of weights ({form}), {state} of a state, {scratch} of the stack in a step.
*/"""


@dataclass(frozen=True)
class Sizes:
    """What a written network takes, in bytes.

    >>> tg.interop.c.export(tg.nn.GRU(2, 3), "gru.c").state
    12

    Attributes:
        weights: constants, which a controller reads from its flash memory.
        state: one sequence's.
        scratch: arrays on the stack while a step runs.
    """

    weights: int
    state: int
    scratch: int


def text_of(
    code: StepCode,
    name: str,
    file: str,
    sizes: Sizes,
    form: str,
    vocabulary: Vocabulary[Any] | None,
) -> str:
    """The whole file.

    Args:
        form: what is told of the weights.
        vocabulary: of what the step reads and scores, or None.
    """
    macro = name.upper()
    use = _USE.format(
        name=name,
        macro=macro,
        arguments=", ".join(leaf.name for leaf in (*code.inputs, *code.outputs)),
        leaves="\n".join(_told(code)),
        file=file,
        weights=f"{sizes.weights:,}",
        state=f"{sizes.state:,}",
        scratch=f"{sizes.scratch:,}",
        form=form,
    )
    truths = any(leaf.kind == "i1" for leaf in (*code.inputs, *code.outputs, *code.states))
    lines = [
        *use.split("\n"),
        f"#ifndef {macro}_DECLARED",
        f"#define {macro}_DECLARED",
        "",
        *(["#include <stdbool.h>", ""] if truths else []),
        *_in_c(_declared(code, name, macro, vocabulary)),
        "",
        f"#endif /* {macro}_DECLARED */",
        "",
        f"#ifndef {macro}_DECLARATIONS_ONLY",
        "",
        *_BEFORE,
        "",
        *_in_c(_defined(code, name, vocabulary)),
        "",
        f"#endif /* {macro}_DECLARATIONS_ONLY */",
    ]
    return "\n".join([*_indented(lines), ""])


_BEFORE = [
    "#ifdef __FAST_MATH__",
    '#error "with -ffast-math the results are others: leave it out"',
    "#endif",
    "#include <math.h>",
    "#include <stdbool.h>",
]


def _declared(code: StepCode, name: str, macro: str, vocabulary: Vocabulary[Any] | None) -> list[str]:
    """What others see."""
    words = {"x": "INPUT", "y": "OUTPUT"}
    return [
        *(
            f"#define {macro}_{words[leaf.name[0]]}{leaf.name[1:]}_SIZE {leaf.size}"
            for leaf in (*code.inputs, *code.outputs)
        ),
        "",
        "typedef struct {",
        *(f"{code.printer.TYPES[s.kind]} {s.name}[{s.size}];" for s in code.states),
        *([] if code.states else ["char nothing;"]),
        f"}} {name}_state;",
        "",
        f"void {name}_reset({name}_state *state);",
        f"{_step_head(code, name)};",
        *([] if vocabulary is None else _vocabulary_heads(name, macro, vocabulary)),
    ]


def _defined(code: StepCode, name: str, vocabulary: Vocabulary[Any] | None) -> list[str]:
    first = [_numbers(f"{name}_first_{s.name}", s.first) for s in code.states if _begins_elsewhere(s)]
    return [
        f"typedef char {name}_int_has_32_bits[sizeof(int) == 4 ? 1 : -1];",
        "",
        *_helpers(code, name),
        *(line for lines in (*map(_array_of, code.stored), *first) for line in (*lines, "")),
        *_reset(code, name),
        "",
        _step_head(code, name),
        *_body(code),
        *([] if vocabulary is None else _vocabulary(name, vocabulary)),
    ]


def identifier(what: str, name: Any) -> str:
    """A word that names in C may begin with."""
    name = arguments.text(what, name)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,30}", name, re.ASCII):
        raise ArgumentError(
            f"{what} is {arguments.shown(name)}: expected a name in C, of 31 letters, digits and _ at most"
        )
    return name


def comment(text: str) -> str:
    """A text that may stand in a comment, whatever it was."""
    return re.sub(r"[^\w .,:()=×-]", "_", text, flags=re.ASCII)


_FOR_C, _END = 'extern "C" {', '} /* extern "C" */'


def _in_c(lines: Iterable[str]) -> list[str]:
    """Lines whose names are C's, also in C++."""
    return ["#ifdef __cplusplus", _FOR_C, "#endif", "", *lines, "", "#ifdef __cplusplus", _END, "#endif"]


def _told(code: StepCode) -> list[str]:
    types = code.printer.TYPES
    return [
        f"{leaf.name}: {types[leaf.kind]}[{leaf.size}], of shape {comment(str(leaf.shape))}, {what}"
        for what, leaves in (("an input", code.inputs), ("an output", code.outputs))
        for leaf in leaves
    ]


def _step_head(code: StepCode, name: str) -> str:
    types = code.printer.TYPES
    inputs = [f"const {types[leaf.kind]} *{leaf.name}" for leaf in code.inputs]
    outputs = [f"{types[leaf.kind]} *{leaf.name}" for leaf in code.outputs]
    return f"int {name}_step({', '.join([f'{name}_state *state', *inputs, *outputs])})"


def _helpers(code: StepCode, name: str) -> list[str]:
    """Those functions that are called, and tables."""
    lines = [
        line
        for line in code.printer.table_lines()
        if any(re.findall(r"\w+(?=\[\])", line)[0] in one for one in code.lines)
    ]
    for helper, (given, made) in _HELPERS.items():
        if any(f"{name}_{helper}(" in line for line in code.lines):
            lines += [
                f"static {made} {name}_{helper}({given} x) {{",
                f"union {{ {given} x; {made} y; }} both;",
                "both.x = x;",
                "return both.y;",
                "}",
                "",
            ]
    return lines


# -- numbers -------------------------------------------------------------------------------------------------


def _array_of(stored: Stored) -> list[str]:
    scales = [] if stored.scales is None else _numbers(f"{stored.name}_scale", stored.scales)
    return [*_numbers(stored.name, stored.array), *scales]


def _numbers(name: str, array: Any) -> list[str]:
    """A constant array."""
    if array.dtype.kind == "f":
        words = [_float(x, "f" if array.dtype == numpy.float32 else "") for x in array.ravel()]
    else:
        words = [_whole(int(x)) for x in array.ravel()]
    return [f"static const {_TYPES[array.dtype.name]} {name}[{array.size}] = {{", *_rows(words), "};"]


def _rows(words: Sequence[str]) -> list[str]:
    """Words in lines of about one width."""
    many = max(1, 104 // (2 + max(map(len, words))))
    return [f"{', '.join(words[i : i + many])}," for i in range(0, len(words), many)]


def _whole(x: int) -> str:
    if -(2**31) < x < 2**31:
        return str(x)
    return f"{x}LL" if x > -(2**63) else f"({x + 1}LL - 1)"


def _float(x: Any, ending: str) -> str:
    if numpy.isfinite(x):
        return f"{x!s}{ending}"
    return "NAN" if numpy.isnan(x) else "INFINITY" if x > 0 else "-INFINITY"


# -- functions -----------------------------------------------------------------------------------------------


def _begins_elsewhere(state: Leaf) -> bool:
    """Whether a state begins with other numbers than 0."""
    assert state.first is not None
    return state.first.tobytes().strip(b"\0") != b""


def _reset(code: StepCode, name: str) -> list[str]:
    lines = [f"void {name}_reset({name}_state *state) {{", *([] if code.states else ["state->nothing = 0;"])]
    for s in code.states:
        first = f"{name}_first_{s.name}[i]" if _begins_elsewhere(s) else "0"
        lines.append(f"for (int i = 0; i < {s.size}; i++) state->{s.name}[i] = {first};")
    return [*lines, "}"]


def _body(code: StepCode) -> list[str]:
    types = code.printer.TYPES
    words = {word for line in code.lines for word in re.findall(r"\w+", line)}
    unread = [leaf.name for leaf in code.inputs if leaf.name not in words] + (
        [] if code.states else ["state"]
    )
    places = [*(leaf.name for leaf in code.outputs), *(f"state->{leaf.name}" for leaf in code.states)]
    leaves = [*code.outputs, *code.states]
    copied = [
        f"for (int i = 0; i < {leaf.size}; i++) {place}[i] = {made}[i];"
        for leaf, place, made in zip(leaves, places, code.made, strict=True)
    ]
    return [
        "{",
        *(f"{types[leaf.kind]} {leaf.name}[{leaf.size}];" for leaf in code.scratch),
        *(f"(void){name};" for name in unread),
        *code.lines,
        *copied,
        "return 0;",
        "}",
    ]


def _vocabulary_heads(name: str, macro: str, vocabulary: Vocabulary[Any]) -> list[str]:
    if _of_characters(vocabulary):
        return [
            "",
            f"#define {macro}_CHARACTERS {len(vocabulary)}",
            "/* the Unicode number of a character of the vocabulary; 0 where there is none of that number */",
            f"unsigned long {name}_character(int number);",
            "/* and back; -1 where the vocabulary lacks it */",
            f"int {name}_number(unsigned long character);",
        ]
    return [
        "",
        f"#define {macro}_WORDS {len(vocabulary)}",
        "/* a word of the vocabulary in UTF-8; 0 where there is none of that number */",
        f"const char *{name}_word(int number);",
        "/* and back; -1 where the vocabulary lacks it */",
        f"int {name}_number(const char *word);",
    ]


def _of_characters(vocabulary: Vocabulary[Any]) -> bool:
    return all(len(token) == 1 for token in vocabulary.tokens)


def _vocabulary(name: str, vocabulary: Vocabulary[Any]) -> list[str]:
    count = len(vocabulary)
    if _of_characters(vocabulary):
        type_, one, tokens = "unsigned long ", "character", [f"{ord(token)}UL" for token in vocabulary.tokens]
        same = [f"if ({name}_characters[i] == character) return i;"]
    else:
        type_, one, tokens = "const char *", "word", [_quoted(token) for token in vocabulary.tokens]
        same = [
            f"const char *a = {name}_words[i], *b = word;",
            "while (*a && *a == *b) {",
            "a++;",
            "b++;",
            "}",
            "if (*a == *b) return i;",
        ]
    constant = "static const " if one == "character" else "static const char *const "
    return [
        "",
        f"{constant}{type_ if one == 'character' else ''}{name}_{one}s[{count}] = {{",
        *_rows(tokens),
        "};",
        "",
        f"{type_}{name}_{one}(int number) {{",
        f"return number >= 0 && number < {count} ? {name}_{one}s[number] : 0;",
        "}",
        "",
        f"int {name}_number({type_}{one}) {{",
        f"for (int i = 0; i < {count}; i++) {{",
        *same,
        "}",
        "return -1;",
        "}",
    ]


def _quoted(word: str) -> str:
    """A string of C, in UTF-8."""
    bytes_ = word.encode(errors="replace")
    return f'"{"".join(chr(b) if chr(b).isalnum() and b < 128 else f"{chr(92)}{b:03o}" for b in bytes_)}"'


def _indented(lines: Iterable[str]) -> list[str]:
    """Lines as deep as the braces that they stand in."""
    depth, found = 0, []
    for line in lines:
        flat = not line or line.startswith("#") or line in (_FOR_C, _END)
        depth -= line.startswith("}") and not flat
        found.append(line if flat else "  " * depth + line)
        depth += line.endswith("{") and not flat
    return found
