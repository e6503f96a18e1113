"""A running average of a model's parameters, which is often better than where the last step left them (Polyak
& Juditsky 1992)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from ..nn import Module
from ..tensor import Tensor


class Average:
    """ā ← decay · ā + (1 − decay) · p, after each update.

    Args:
        model: whose parameters; the average begins with them.
        decay: from 0 to below 1.
    """

    def __init__(self, model: Module, decay: float) -> None:
        self._model, self._decay = model, decay
        self._values: dict[str, Tensor] = model.state_dict()

    def update(self) -> None:
        """Take the parameters as they are now into the average."""
        for name, new in self._model.state_dict().items():
            held = self._values[name]
            array = held._data + (new._data - held._data) * (1 - self._decay)  # what stays is itself
            backend = new._backend
            self._values[name] = Tensor(backend.asarray(array, dtype=new.dtype), backend)

    def settle(self) -> None:
        """Give the model the averages for good."""
        self._model.load_state_dict(self._values)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """A block in which the model has the averages."""
        before = self._model.state_dict()
        self._model.load_state_dict(self._values)
        try:
            yield
        finally:
            self._model.load_state_dict(before)

    def state_dict(self) -> dict[str, Any]:
        return dict(self._values)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where another average was."""
        self._values = {name: self._like(name, value) for name, value in state.items()}

    def _like(self, name: str, value: Any) -> Tensor:
        held = self._values[name]
        return Tensor(held._backend.from_host(value.numpy().astype(held.dtype)), held._backend)
