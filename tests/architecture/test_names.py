"""The names that programs may count on."""

from __future__ import annotations

import ast
import importlib
import re

import pytest

import tinygrad_rnn as tg
from tests.architecture.source import MODULES, PACKAGE, tree_of

CONTRACT = re.findall(
    r"\w+",
    """
    tensor Tensor Tape rows no_grad set_backend use_backend available_backends default_dtype set_default_dtype
    random linalg exp log tanh sigmoid relu softplus erf where maximum minimum clip sum mean var std prod max
    min cumsum cumprod diff sort argsort take take_along_axis tensordot outer inner trace einsum concatenate
    stack split pad tile repeat flip roll tril triu diag squeeze expand_dims moveaxis swapaxes broadcast_to
    logaddexp hypot expm1 log1p arcsin arccos arctan arcsinh arccosh arctanh arctan2 softmax log_softmax
    logsumexp cross_entropy mse_loss bce_with_logits huber_loss grad value_and_grad vjp jvp hvp jacobian
    hessian gradients checkpoint check_gradients nn optim scan explain clear_caches draw table flow
    detect_anomaly save load ArgumentError ArgumentWarning BackendError CacheWarning CheckpointError
    CompileWarning DataError DrawError DrawWarning DtypeError FlowError GradientCheckError IndexRangeError
    LinearAlgebraError ModuleError NonFiniteError ShapeError TapeError TinygradRNNError TraceError
    TrainingError
    """,
)
"""Names that programs may count on."""


def test_public_names() -> None:
    assert [name for name in CONTRACT if not hasattr(tg, name)] == []
    assert set(CONTRACT) <= set(dir(tg))
    assert [name for name in ("norm", "inv", "det", "solve") if not hasattr(tg.linalg, name)] == []
    with pytest.raises(AttributeError, match="no attribute 'fft'"):
        tg.fft


@pytest.mark.parametrize("name", [name for name in MODULES if name])
def test_export_lists_are_true(name: str) -> None:
    for node in tree_of(name).body:
        if isinstance(node, ast.Assign) and [getattr(target, "id", None) for target in node.targets] == [
            "__all__"
        ]:
            listed = ast.literal_eval(node.value)
            assert len(set(listed)) == len(listed)
            module = importlib.import_module(f"tinygrad_rnn.{name}")
            assert [part for part in listed if not hasattr(module, part)] == []


def test_every_error_is_the_librarys_and_a_built_in() -> None:
    for name in tg.errors.__all__:
        error = getattr(tg, name)
        assert issubclass(error, tg.TinygradRNNError)
        assert name == "TinygradRNNError" or any(
            base.__module__ == "builtins" and base is not Exception for base in error.__bases__
        )


def test_version_is_the_changelogs_newest() -> None:
    """It is written in the package, from where the project's metadata have it."""
    changelog = (PACKAGE.parent / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)
    assert newest is not None
    assert newest[1] == tg.__version__


def test_top_level_is_as_it_was_laid_out() -> None:
    root = PACKAGE.parent
    for name in ("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE", "tests", "examples"):
        assert (root / name).exists()
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "backends").is_dir()
