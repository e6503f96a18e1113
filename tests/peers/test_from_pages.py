"""Every row of the tables in docs/from-*.md says that two lines do the same: both are run and compared. So is
the model at the end of each page."""

from __future__ import annotations

import ast
import importlib.util
import os
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.peers.side_by_side import Page, Row, value_of
from tinygrad_rnn import nn

pytestmark = [
    pytest.mark.peer,
    pytest.mark.filterwarnings(
        "ignore:.torch.jit.script. is deprecated:DeprecationWarning"
    ),  # PyTorch's own call
    pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled"),
    pytest.mark.filterwarnings(
        "ignore:__array__ implementation doesn't accept:DeprecationWarning"
    ),  # Keras' own
]


def _from_torch(theirs: Any, ours: nn.Module, names: dict[str, Any]) -> Any:
    return theirs.state_dict()


def _from_keras(theirs: Any, ours: nn.Module, names: dict[str, Any]) -> Any:
    rng = np.random.default_rng(1)  # Keras' biases are 0 at first: any order of theirs would fit
    theirs.set_weights([rng.normal(size=array.shape) for array in theirs.get_weights()])
    tg.interop.keras.load_weights(ours, theirs.get_weights())
    return ours.state_dict()


@dataclass(frozen=True)
class Peer:
    """Another framework.

    Attributes:
        needs: packages.
        weights: (their layer, ours, our names) → what ours loads.
    """

    page: Page
    needs: tuple[str, ...]
    weights: Callable[..., Any] = _from_torch

    def skipped(self) -> str:
        """Why it cannot be compared with; "" where it can."""
        missing = [name for name in self.needs if importlib.util.find_spec(name) is None]
        return f"{', '.join(missing)} not installed" if missing else ""


PEERS = [
    Peer(Page("from-pytorch"), ("torch", "safetensors")),
    Peer(Page("from-keras"), ("keras", "torch"), _from_keras),
    Peer(Page("from-jax"), ("jax",)),
]
os.environ["KERAS_BACKEND"] = "torch"  # before its first import


@pytest.fixture(autouse=True)
def _as_it_was(tmp_path, monkeypatch) -> Iterator[None]:
    """Pages set the default dtype of both libraries, and write files."""
    monkeypatch.chdir(tmp_path)
    ours = tg.default_dtype
    yield
    tg.set_default_dtype(ours)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_default_dtype(torch.float32)


def _namespaces(peer: Peer, pieces: list[tuple[str, str]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The names that pieces of a page make, theirs and ours; what is made here only is there for both."""
    theirs: dict[str, Any] = {}
    ours: dict[str, Any] = {}
    for side, code in pieces:
        if side == "theirs":
            theirs.update({name: value for name, value in ours.items() if name not in theirs})
        exec(compile(code, f"<{peer.page.name}, {side}>", "exec"), theirs if side == "theirs" else ours)
    return theirs, ours


def _prepared(peer: Peer) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the names in the tables are; layers of the same name have the same weights."""
    theirs, ours = _namespaces(peer, peer.page.preparation())
    for name, layer in ours.items():
        if isinstance(layer, nn.Module):
            layer.load_state_dict(peer.weights(theirs[name], layer, ours))
    return theirs, ours


def _plain(value: Any) -> Any:
    """A value as nested tuples of NumPy arrays, strings and None."""
    if value is None or isinstance(value, (str, np.dtype)):
        return value
    if isinstance(value, dict):
        return tuple((key, _plain(value[key])) for key in sorted(value))
    if isinstance(value, (list, tuple)):
        return tuple(_plain(part) for part in value)
    if hasattr(value, "detach"):
        value = value.detach()
    return np.asarray(value)


def _same(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, tuple):
        assert isinstance(ours, tuple)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            _same(a, b)
    elif isinstance(theirs, np.ndarray):
        assert ours.shape == theirs.shape
        assert ours.dtype.kind == theirs.dtype.kind
        assert ours.dtype == theirs.dtype or theirs.dtype.kind == "i" or theirs.ndim == 0
        single = theirs.dtype == np.float32
        np.testing.assert_allclose(
            ours, theirs, rtol=2e-6 if single else 1e-9, atol=1e-6 if single else 1e-11
        )
    else:
        assert ours == theirs


def _each_row() -> Iterator[Any]:
    for peer in PEERS:
        for row in peer.page.rows():
            yield pytest.param(peer, row, id=f"{peer.page.name} {row}")


@pytest.mark.parametrize(("peer", "row"), list(_each_row()))
def test_both_lines_of_a_row_do_the_same(peer: Peer, row: Row):
    if reason := peer.skipped():
        pytest.skip(reason)
    their_names, names = _prepared(peer)
    theirs, ours = value_of(row.theirs, their_names), value_of(row.ours, names)
    if row.kind == "on":
        theirs(value_of(row.third, their_names))  # some are built by their first call
        ours.load_state_dict(peer.weights(theirs, ours, names))
        theirs, ours = theirs(value_of(row.third, their_names)), ours(value_of(row.third, names))
        if isinstance(ours, tuple) and not isinstance(theirs, tuple):
            ours, _ = ours
    elif row.kind == "then":
        theirs, ours = value_of(row.third, their_names), value_of(row.third, names)
    elif row.kind == "":
        assert theirs is not None, (
            "nothing to compare: the row belongs in a table with a column 'runs' or 'then'"
        )
    if row.kind != "runs":
        _same(_plain(ours), _plain(theirs))


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.page.name)
def test_the_model_says_the_same_on_both_sides(peer: Peer):
    if reason := peer.skipped():
        pytest.skip(reason)
    theirs, ours = _namespaces(peer, peer.page.blocks())
    for name in {"logits", "gradient"} & set(ours):
        _same(_plain(ours[name]), _plain(theirs[name]))


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.page.name)
def test_both_sides_prepare_the_same_names(peer: Peer):
    if reason := peer.skipped():
        pytest.skip(reason)
    used = {
        node.id
        for row in peer.page.rows()
        for code in (row.theirs, row.ours)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name)
    }
    theirs, ours = _prepared(peer)
    for name in used & set(ours) & set(theirs):
        if not callable(ours[name]) and not isinstance(ours[name], types.ModuleType):
            _same(_plain(ours[name]), _plain(theirs[name]))
