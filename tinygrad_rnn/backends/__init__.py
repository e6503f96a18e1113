"""Devices: where arrays live and who computes on them.

``set_backend("cupy")`` for the whole process, ``with use_backend("cupy"):`` for a block of one thread,
``TINYGRAD_RNN_BACKEND=cupy`` from outside. New tensors are made there; an operation runs where its operands
are.
"""

from __future__ import annotations

import contextlib
import contextvars
import copyreg
import os
import weakref
from collections.abc import Callable
from typing import Any

from ..arguments import shown
from ..effects import effect
from ..errors import BackendError
from .base import Array, Backend
from .numpy_backend import NumpyBackend

__all__ = ["Array", "Backend", "available_backends", "current", "get", "set_backend", "use_backend"]


def _load_cupy() -> Backend:
    from .cupy_backend import load  # only those who have a device need it

    return load()


_LOADERS: dict[str, Callable[[], Backend]] = {"numpy": NumpyBackend, "cupy": _load_cupy}

_loaded: dict[str, Backend] = {}


def get(name: str) -> Backend:
    """The backend of that name.

    Raises:
        BackendError: the name is unknown, or the device or its package is missing.
    """
    if not isinstance(name, str) or name not in _LOADERS:
        raise BackendError(f"unknown backend {shown(name)}: choose one of {', '.join(map(repr, _LOADERS))}")
    if name not in _loaded:
        _loaded[name] = _LOADERS[name]()
        copyreg.pickle(type(_loaded[name]), _by_name)
    return _loaded[name]


def _by_name(backend: Backend) -> tuple[Callable[[str], Backend], tuple[str]]:
    """There is one of each in a process: copies and pickles of what refers to it refer to it by name."""
    return get, (backend.name,)


get("numpy")  # always, so that an array of the host is known as one


def available_backends() -> tuple[str, ...]:
    """The names of the backends that work on this machine.

    >>> "numpy" in tg.available_backends()
    True
    """
    names = []
    for name in _LOADERS:
        with contextlib.suppress(BackendError):
            names.append(get(name).name)
    return tuple(names)


_process_backend: Backend | None = None
_Blocks = tuple["weakref.ref[use_backend]", Backend, Any]
_blocks: contextvars.ContextVar[_Blocks | None] = contextvars.ContextVar("tinygrad_rnn_backend", default=None)
"""The innermost block around, its backend, and the same of the block around that."""


@effect("sets the backend of the process")
def set_backend(name: str) -> None:
    """Make ``name`` the backend of new tensors in the whole process.

    >>> tg.set_backend("numpy")
    >>> tg.zeros(2).backend
    'numpy'
    """
    global _process_backend
    _process_backend = get(name)


class use_backend(contextlib.ContextDecorator):
    """Make ``name`` the backend of new tensors inside the block, in this thread only.

    An interrupt may cut off the end of a block. Then it ends with the block around it, or when Python drops
    it.

    >>> with tg.use_backend("numpy"):
    ...     tg.zeros(2).backend
    'numpy'
    """

    def __init__(self, name: str) -> None:
        self._backend = get(name)

    def __enter__(self) -> None:
        _blocks.set((weakref.ref(self, _lost), self._backend, _blocks.get()))

    def __exit__(self, *exception: object) -> None:
        blocks = _blocks.get()
        while blocks is not None and blocks[0]() is not self:
            blocks = blocks[2]
        if blocks is not None:
            _blocks.set(blocks[2])


def _lost(reference: Any) -> None:
    inside, blocks = [], _blocks.get()
    while blocks is not None and blocks[0] is not reference:
        inside.append(blocks)
        blocks = blocks[2]
    if blocks is not None:
        outer = blocks[2]
        for block, backend, _ in reversed(inside):
            outer = block, backend, outer
        _blocks.set(outer)


def current() -> Backend:
    """The backend of new tensors: the block's, else the process's, else ``TINYGRAD_RNN_BACKEND``'s, else
    NumPy."""
    blocks = _blocks.get()
    backend = _process_backend if blocks is None else blocks[1]
    return backend or get(os.environ.get("TINYGRAD_RNN_BACKEND") or "numpy")


def owner(array: Array) -> Backend | None:
    """The backend in use whose array this is, or None."""
    for backend in _loaded.values():
        if isinstance(array, backend.array_type):
            return backend
    return None
