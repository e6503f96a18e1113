"""Other frameworks are never imported: not by the library, nor by a reader of files that they wrote, nor by
what takes their arrays. A file is read where the one that wrote it was never installed."""

from __future__ import annotations

import ast
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.architecture.source import MODULES, called, tree_of

pytestmark = pytest.mark.numpy_only

FRAMEWORKS = ("autograd", "flax", "jax", "jaxlib", "keras", "onnxruntime", "tensorflow", "tf_keras", "torch")
MEASURE_THEM = {"selfcheck.times"}
"""Modules that run another framework beside ours, where the user asks for it."""

_REFUSE = f"""
import sys

class Refuse:
    asked = []
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {FRAMEWORKS}:
            self.asked.append(name)
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
"""


def without_frameworks(program: str, *arguments: str) -> str:
    """What a program prints in a process where no framework is installed, none of which it has asked for."""
    ending = "\nassert not Refuse.asked, Refuse.asked\n"
    text = _REFUSE + textwrap.dedent(program) + ending
    done = subprocess.run([sys.executable, "-c", text, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_refusal_works() -> None:
    with pytest.raises(AssertionError, match="ModuleNotFoundError: torch"):
        without_frameworks("import torch.nn")
    with pytest.raises(AssertionError, match="jax"):
        without_frameworks("try:\n    import jax\nexcept ImportError:\n    pass")


def test_no_module_of_the_library_imports_a_framework() -> None:
    """Nor any of what stands in ``tg``, which is imported when it is first asked for."""
    names = [f"tinygrad_rnn.{name}".rstrip(".") for name in MODULES if not name.endswith("__main__")]
    program = """
        import importlib, tinygrad_rnn as tg
        for name in sys.argv[1:]:
            importlib.import_module(name)
        for name in dir(tg):
            getattr(tg, name)
        print(len(sys.argv) - 1)
    """
    assert int(without_frameworks(program, *names)) > 200


@pytest.mark.parametrize("name", MODULES)
def test_no_function_imports_a_framework(name: str) -> None:
    found = set()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module or "")
        elif called(node) in ("import_module", "__import__") and isinstance(node, ast.Call):
            found |= {str(part.value) for part in ast.walk(node) if isinstance(part, ast.Constant)}
    named = {part for part in found if part.partition(".")[0] in FRAMEWORKS}
    assert not named or name in MEASURE_THEM, named


def test_a_checkpoint_is_read_without_the_framework_that_wrote_it(tmp_path: Path) -> None:
    """``metadata`` says of a file that PyTorch wrote it, as Hugging Face's files do."""
    path, layer = str(tmp_path / "w.safetensors"), tg.nn.LSTM(2, 3, dtype="float64")
    tg.save(path, layer, metadata={"format": "pt"})
    x = np.linspace(-1, 1, 8).reshape(4, 1, 2)
    program = """
        import numpy as np, tinygrad_rnn as tg
        layer = tg.nn.LSTM(2, 3, dtype="float64")
        layer.load_state_dict(tg.load(sys.argv[1]))
        print(layer(np.linspace(-1, 1, 8).reshape(4, 1, 2))[0].tolist())
    """
    assert without_frameworks(program, path) == f"{layer(x)[0].tolist()}\n"


def test_arrays_of_others_are_taken_without_their_library() -> None:
    program = """
        import numpy as np, tinygrad_rnn as tg
        x = tg.from_dlpack(np.arange(3.0))
        np.from_dlpack(x)
        tg.asarray(x.numpy())
        print(x.tolist())
    """
    assert without_frameworks(program) == "[0.0, 1.0, 2.0]\n"
