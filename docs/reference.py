"""The directive of the API's pages: public names, first as tables of links, then each in full.

    .. public::

       Powers: exp log sqrt
       Layers: nn.Linear nn.LSTM

A name stands as users write it behind ``tg.``; what has no public name stands with its module. A second name
of something that stands before it is said to be the same.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.util.docutils import SphinxDirective
from sphinx.util.inspect import TypeAliasForwardRef

import tinygrad_rnn as tg
from tinygrad_rnn.chain_rule.formula import formulas

MODULES = {
    "tg": tg,
    "tg.nn": tg.nn,
    "tg.nn.init": tg.nn.init,
    "tg.optim": tg.optim,
    "tg.data": tg.data,
    "tg.linalg": tg.linalg,
    "tg.random": tg.random,
    "tg.interop": tg.interop,
    "tg.interop.c": tg.interop.c,
    "tg.interop.safetensors": tg.interop.safetensors,
    "tg.interop.convert": tg.interop.convert,
    "tg.interop.keras": tg.interop.keras,
    "tg.interop.tensorflow": tg.interop.tensorflow,
    "tg.interop.torch": tg.interop.torch,
    "tg.interop.onnx": tg.interop.onnx,
}

CALLED = (tg.nn, tg.optim, tg.data, tg.backends, tg.interop.onnx)
"""Where the classes stand that users make instances of."""


class Public(SphinxDirective):
    """Tables of names, and what their docstrings say."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        groups = _groups(self.content)
        tables = [line for caption, names in groups for line in _table(caption, names)]
        seen: dict[int, str] = {}  # what stands on this page, and under which name
        entries = [line for _, names in groups for name in names for line in _entry(name, seen)]
        return self.parse_text_to_nodes("\n".join([*tables, *entries]))


def _groups(content: Any) -> list[tuple[str, list[str]]]:
    """Captions, and the full names below each."""
    groups: list[tuple[str, list[str]]] = []
    for line in content:
        caption, colon, names = line.rpartition(":")
        if colon:
            groups.append((caption, []))
        groups[-1][1].extend(
            name if name.startswith("tinygrad_rnn.") else f"tg.{name}" for name in names.split()
        )
    return groups


def _table(caption: str, names: list[str]) -> Iterator[str]:
    yield from (f".. rubric:: {caption}", "", ".. autosummary::", "   :nosignatures:", "")
    yield from (f"   {name}" for name in names)
    yield ""


def _entry(name: str, seen: dict[int, str]) -> Iterator[str]:
    owner, _, last = name.rpartition(".")
    thing = getattr(_thing(owner), last)
    kind = "class" if isinstance(thing, type) else "function"
    if owner == "tg.Tensor":
        thing = inspect.getattr_static(tg.Tensor, last)
        kind = "property" if isinstance(thing, property) else "method"
        seen = {id(getattr(tg, last, None)): f"tg.{last}", **seen}
    first = seen.setdefault(id(thing), name)
    if first != name:
        yield from _second_name(kind, name, thing, first)
        return
    yield f".. auto{kind}:: {name}{_plain_signature(thing)}"
    if kind == "class" and thing is not tg.Tensor:
        yield from (
            "   :members:",
            "   :special-members: __call__",
            "   :exclude-members: settled, cell_type",
        )
    yield ""


def _plain_signature(thing: Any) -> str:
    """Of what has several typed ones: names and defaults. "" for the rest, which autodoc shows with types."""
    if isinstance(thing, type) and not any(
        getattr(module, thing.__name__, None) is thing for module in CALLED
    ):
        return "()"  # it is made by a function
    function = thing.__init__ if isinstance(thing, type) else thing
    if not inspect.isfunction(function) or not typing.get_overloads(function):
        return ""
    plain = inspect.signature(thing)
    names = [part.replace(annotation=part.empty) for part in plain.parameters.values() if part.name != "self"]
    return str(plain.replace(parameters=names, return_annotation=plain.empty))


def _second_name(kind: str, name: str, thing: Any, first: str) -> Iterator[str]:
    """One line for what stands in full elsewhere."""
    module = max((module for module in MODULES if name.startswith(f"{module}.")), key=len)
    names = list(inspect.signature(thing).parameters)[kind == "method" :]
    yield f".. py:{kind}:: {name.removeprefix(f'{module}.')}({', '.join(names)})"
    yield from (f"   :module: {module}", "", f"   The same as :func:`{first}`.", "")


def _thing(name: str) -> Any:
    """What a full name is the name of."""
    for module in sorted(MODULES, key=len, reverse=True):
        if name == module or name.startswith(f"{module}."):
            rest = name[len(module) + 1 :]
            return functools.reduce(getattr, rest.split("."), MODULES[module]) if rest else MODULES[module]
    return sys.modules[name]


def _add_rule(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Below the function of a row stands its rule, as the row itself writes it."""
    row = tg.rows.get(name.removeprefix("tg."))
    if row is not None and what == "function" and row.case != "choice":
        lines += [f"**{row.case.capitalize()}**: {'; '.join(formulas(row))}", ""]


def _link_public_names(app: Any, document: nodes.document) -> None:
    """A link to tinygrad_rnn.tanh goes to tg.tanh, under which it stands."""
    for link in document.findall(addnodes.pending_xref):
        package, _, name = link.get("reftarget", "").partition(".")
        if package == "tinygrad_rnn" and name.partition(".")[0] in dir(tg):
            link["reftarget"] = f"tg.{name}"


def _public_face(name: str, module: types.ModuleType) -> types.ModuleType:
    """A module of that name to import from, as users write it, with what the module shows; no package, whose
    files could be imported a second time."""
    face = types.ModuleType(name, module.__doc__)
    vars(face).update({public: getattr(module, public) for public in dir(module) if public[0] != "_"})
    return face


def setup(app: Any) -> None:
    sys.modules.update({name: _public_face(name, module) for name, module in MODULES.items()})
    TypeAliasForwardRef.__repr__ = lambda alias: (
        alias.name
    )  # Sphinx shows it as it is where None stands beside
    app.add_directive("public", Public)
    app.connect("autodoc-process-docstring", _add_rule)
    app.connect("doctree-read", _link_public_names)
