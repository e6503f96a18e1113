"""What PyTorch has under another name: who asks for it is told what to write."""

from __future__ import annotations

from typing import Any

from .tensor import Tensor

_INSTEAD = {
    "view": "x.reshape(shape)",
    "permute": "x.transpose(axes)",
    "unsqueeze": "tg.expand_dims(x, axis)",
    "t": "x.T",
    "dim": "x.ndim",
    "numel": "x.size",
    "clone": "x.copy()",
    "cpu": "x.to('numpy')",
    "cuda": "x.to('cupy')",
    "float": "x.astype('float32')",
    "double": "x.astype('float64')",
    "long": "x.astype('int64')",
    "zero_": "x.data[...] = 0, or W.grad = None",
    "retain_grad": "tg.gradients(loss, x)",
    **{
        name: f"tg.{name}(x)"
        for name in ("exp", "log", "sqrt", "abs", "tanh", "sigmoid", "relu", "softmax", "matmul")
    },
}
"""Methods of its tensors."""

FUNCTIONS = {
    "cat": "tg.concatenate([x, y], axis)",
    "unsqueeze": "tg.expand_dims(x, axis)",
    "permute": "tg.transpose(x, axes)",
    "mm": "x @ y",
    "bmm": "x @ y",
    "clamp": "tg.clip(x, low, high)",
    "from_numpy": "tg.tensor(array)",
    "as_tensor": "tg.asarray(x)",
    "rand": "tg.tensor(tg.random.generator().random(shape))",
    "randn": "tg.tensor(tg.random.generator().normal(size=shape))",
    "manual_seed": "tg.random.seed(n)",
    "nan_to_num": "tg.where(tg.isnan(x), 0, x)",
    "utils": "tg.optim.clip_grad_norm, and lengths= of a layer",
    "autograd": "tg.gradients(loss, x)",
    "device": "tg.use_backend('cupy')",
    "float": "tg.float32",
    "double": "tg.float64",
    "long": "tg.int64",
}
"""Of the package."""


class _Elsewhere:
    """Not an attribute. (A ``__getattr__`` of the class would make every attribute slower.)"""

    def __init__(self, name: str, instead: str) -> None:
        self._name, self._instead = name, instead

    def __get__(self, x: Any, owner: type) -> Any:
        raise AttributeError(f"a tensor has no {self._name}: write {self._instead}")


for _name, _hint in _INSTEAD.items():
    setattr(Tensor, _name, _Elsewhere(_name, _hint))


def _shown(self: Tensor) -> list[str]:
    """Completion shows what there is."""
    return [name for name in object.__dir__(self) if name not in _INSTEAD]


setattr(Tensor, "__dir__", _shown)  # noqa: B010
