"""Whether a model is in training, for the time of a block."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from .module import Module


@contextlib.contextmanager
def modes_kept(model: Any) -> Iterator[None]:
    """A block after which each module of a model is in training or not, as it was before."""
    modes = [(m, m.training) for m in (model.modules() if isinstance(model, Module) else ())]
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """A block in which a model is not in training; after it each of its modules is as it was before."""
    with modes_kept(model):
        if isinstance(model, Module):
            model.eval()
        yield
