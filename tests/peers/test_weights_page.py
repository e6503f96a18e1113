"""The page *Weights in and out*: all its code runs, also that of the other frameworks, and they agree."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pytest

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning"),
]
os.environ["KERAS_BACKEND"] = "torch"  # before its first import
PAGE = Path(__file__).parents[2] / "docs" / "weights.md"
BLOCK = re.compile(
    r"^```\{code-(?:block|cell)\} python\n(?::tags: .*?\n\n)?(.*?)^```$", re.MULTILINE | re.DOTALL
)


def test_the_page(tmp_path, monkeypatch, capsys):
    for package in ("torch", "keras", "h5py", "safetensors"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    names, pairs = {}, []
    for code in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        exec(code, names)
        if "theirs" in code:
            pairs.append((names["theirs"], names["ours"] if "from_module" in code else names["model"]))
    assert "missing: bias; kernel: shape (6, 18)" in capsys.readouterr().out
    saved, built, loaded = (theirs for theirs, _ in pairs)
    for theirs, ours in ((saved, pairs[0][1]), (built, pairs[1][1])):
        assert list(theirs.state_dict()) == list(ours.state_dict())
        for name, value in theirs.state_dict().items():
            np.testing.assert_array_equal(value.numpy(), ours.state_dict()[name].numpy())
    for name, arrays in names["weights"].items():
        for mine, theirs in zip(arrays, loaded.get_layer(name).get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
