"""The API's pages name everything that users call, nothing twice; each name has an example, which is run."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn import backends, nn, optim

pytestmark = pytest.mark.numpy_only

PAGES = sorted((Path(__file__).parents[2] / "docs" / "api").glob("*.md"))
ROOMS = {
    "": tg,
    "nn.": nn,
    "nn.init.": nn.init,
    "nn.activations.": nn.activations,
    "nn.gate_orders.": nn.gate_orders,
    "optim.": optim,
    "data.": tg.data,
    "train.": tg.train,
    "linalg.": tg.linalg,
    "random.": tg.random,
    "interop.c.": tg.interop.c,
    "interop.": tg.interop,
    "interop.convert.": tg.interop.convert,
    "interop.keras.": tg.interop.keras,
    "interop.tensorflow.": tg.interop.tensorflow,
    "interop.torch.": tg.interop.torch,
}


def _named(text: str) -> list[str]:
    """The names of a page's ``public`` directives, as they stand there."""
    blocks = re.findall(r"\.\. public::\n\n((?:   .*\n)+)", text)
    return [name for line in "".join(blocks).splitlines() for name in line.rpartition(":")[2].split()]


NAMES = [name for page in PAGES for name in _named(page.read_text(encoding="utf-8"))]


def _constants(text: str) -> list[str]:
    """What is said to be a constant or a module."""
    blocks = re.findall(r"\.\. py:(?:data|module):: ((?:.+\n)(?: {10,}tg\..+\n)*)", text)
    return [name.removeprefix("tg.") for name in " ".join(blocks).split()]


def test_every_public_name_has_one_place():
    public = {f"{room}{name}" for room, module in ROOMS.items() for name in dir(module) if name[0] != "_"}
    public |= {"interop.c", "interop.safetensors.Checkpoint"}  # that is what load returns
    public |= {"interop.onnx", *(f"interop.onnx.{name}" for name in dir(tg.interop.onnx))}
    public |= {f"Tensor.{name}" for name in dir(tg.zeros(2)) if name[0] != "_"}
    attributes = {
        f"Tensor.{name}"
        for name in re.findall(r"^    (\w+): ", inspect.getdoc(tg.Tensor) or "", re.MULTILINE)
    }
    internal = {"Tensor.entry", "Tensor.position", "Tensor.result_type"}
    texts = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    places = Counter([*NAMES, *_constants(texts), *attributes])
    assert [name for name, count in places.items() if count > 1] == []
    named = {name for name in places if not name.startswith("tinygrad_rnn.")} - {"tg"}
    assert not public - internal - named, "public names that stand nowhere in docs/api"
    assert not named - (public - internal), "names in docs/api that are not public, by __all__ for example"


def _thing(name: str) -> Any:
    if name.startswith("tinygrad_rnn."):
        module, _, last = name.rpartition(".")
        return getattr(importlib.import_module(module), last)
    thing: Any = tg
    for part in name.split("."):
        thing = inspect.getattr_static(thing, part) if thing is tg.Tensor else getattr(thing, part)
    return thing


@pytest.mark.parametrize("name", NAMES)
def test_the_example_is_true(name, tmp_path, monkeypatch):
    thing = _thing(name)
    text = inspect.getdoc(thing) or ""
    assert text, f"{name} has no docstring"
    if isinstance(thing, property):
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(backends, "_process_backend", None)  # so that it is put back
    example = doctest.DocTestParser().get_doctest(text, {"tg": tg, "np": np}, name, None, None)
    assert example.examples, f"{name} has no example"
    assert len(example.examples) < 8
    told: list[str] = []
    state, dtype = tg.random.get_state(), tg.default_dtype
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(example, out=told.append)
    finally:
        tg.random.set_state(state)
        tg.set_default_dtype(dtype)
    assert not told, "".join(told)
