"""PyTorch: its modules built here with their weights, and its files.

Weights go the other way by name: ``torch_module.load_state_dict(safetensors.torch.load_file(path))`` takes
what :func:`tinygrad_rnn.save` wrote, since names, shapes and gate orders of the layers are PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import derived, nn, ops
from ..errors import ArgumentError, ModuleError
from ..tensor import Tensor
from .torch_file import load as load
from .torch_file import save as save


def from_module(module: Any) -> nn.Module:
    """The same model made of layers of this library, with PyTorch's weights.

    RNN, LSTM and GRU with all their options, RNNCell, LSTMCell, GRUCell, Linear, Embedding, LayerNorm,
    Dropout, activations, and Sequential of these. Names of the weights, frozen ones, ties between them, the
    dtype and ``train()`` or ``eval()`` of each module come along; afterwards the two models share nothing. A
    cell returns ``y, state`` here.

    >>> class Tanh:  # stands for torch.nn.Tanh() where PyTorch is not installed
    ...     __module__, training = "torch.nn.modules.activation", True
    >>> tg.interop.torch.from_module(Tanh())(tg.zeros(2))
    tensor([0., 0.], dtype=float32)

    Args:
        module: a ``torch.nn.Module``.

    Raises:
        ModuleError: the model holds something else, such as a module with a ``forward`` of its own: all of
            it is named, with its path.
        ArgumentError: it is no module of PyTorch's.
    """
    if not any(base.__module__.startswith("torch.nn.modules.") for base in type(module).__mro__):
        raise ArgumentError(f"from_module: module must be a torch.nn.Module, not {type(module).__name__}")
    builder = _Builder()
    built = builder.built(module, "")
    if builder.refused:
        raise ModuleError(
            f"from_module: nothing here computes {'; '.join(builder.refused)}. Write such a part as a module "
            "of this library, and build what is around it on its own"
        )
    return built if isinstance(built, nn.Module) else nn.Sequential(built)


class _Builder:
    """Builds modules, each once, and notes what it cannot build."""

    def __init__(self) -> None:
        self.refused: list[str] = []
        self._modules: dict[int, Any] = {}
        self._parameters: dict[int, Any] = {}

    def built(self, theirs: Any, path: str) -> Any:
        if id(theirs) not in self._modules:
            self._modules[id(theirs)] = self._new(theirs, path)
        return self._modules[id(theirs)]

    def _new(self, theirs: Any, path: str) -> Any:
        kind = type(theirs).__name__ if type(theirs).__module__.startswith("torch.nn.modules.") else ""
        reason = _reason(theirs, kind)
        if reason:
            self.refused.append(f"{path or 'the module'} ({reason})")
            return None
        if kind in _ACTIVATIONS:
            return _ACTIVATIONS[kind](theirs)
        if kind == "Sequential":
            parts = {
                name: self.built(part, f"{path}.{name}" if path else name)
                for name, part in theirs._modules.items()
            }
            if None in parts.values():
                return None
            together: nn.Module = nn.Sequential(parts)
            together.training = theirs.training
            return together
        return self._layer(theirs, kind, path).train(theirs.training)

    def _layer(self, theirs: Any, kind: str, path: str) -> nn.Module:
        """A layer with PyTorch's values, which shares those parameters that PyTorch's shares."""
        parameters = dict(theirs.named_parameters(recurse=False, remove_duplicate=False))
        options = {option: getattr(theirs, option) for option in _OPTIONS[kind]}
        if "bias" in options:  # of some layers it is the parameter or None
            options["bias"] = options["bias"] is not None and options["bias"] is not False
        if options.get("num_layers") == 1:
            options["dropout"] = 0.0  # it acts between layers
        if parameters:
            options["dtype"] = _dtype(next(iter(parameters.values())))
        ours: nn.Module = getattr(nn, kind)(**options)
        mine = dict(ours.named_parameters())
        if odd := sorted(mine.keys() ^ parameters.keys()):
            self.refused.append(f"{path or 'the module'} ({kind} with a parameter more or less: {odd[0]})")
            return ours
        ours.load_state_dict({name: p.detach().cpu().numpy() for name, p in parameters.items()})
        for name, parameter in parameters.items():
            if id(parameter) in self._parameters:
                setattr(ours, name, self._parameters[id(parameter)])
            else:
                mine[name].requires_grad = parameter.requires_grad
                self._parameters[id(parameter)] = mine[name]
        return ours


def _reason(theirs: Any, kind: str) -> str:
    """Why a module cannot be built; "" where it can."""
    if kind not in _OPTIONS and kind not in _ACTIVATIONS and kind != "Sequential":
        return kind or f"{type(theirs).__qualname__}, a class of its own"
    held = vars(theirs)
    hooks = [
        name for name, value in held.items() if name.endswith("_hooks") and "state_dict" not in name and value
    ]
    if hooks or "forward" in held:
        return f"{kind} with {'a forward of its own' if 'forward' in held else hooks[0].strip('_')}"
    own = [name for name, parameter in held.get("_parameters", {}).items() if parameter is not None]
    if kind not in _OPTIONS and own:
        return f"{kind} with a parameter of its own, {own[0]}"
    for option, usual in _UNSUPPORTED.get(kind, {}).items():
        if getattr(theirs, option) != usual:
            return f"{kind} with {option}={getattr(theirs, option)!r}"
    if kind in ("Softmax", "LogSoftmax") and theirs.dim is None:
        return f"{kind} with dim=None, which PyTorch chooses by the input's axes: give it one, as dim=-1"
    dtypes = {
        _dtype(parameter) for parameter in held.get("_parameters", {}).values() if parameter is not None
    }
    if len(dtypes) > 1 or not dtypes <= {"float16", "float32", "float64"}:
        return f"{kind} of {' and '.join(sorted(dtypes))}"
    if any(parameter is not None and parameter.is_meta for parameter in held.get("_parameters", {}).values()):
        return f"{kind} on the device meta, which holds no values"
    return ""


def _dtype(parameter: Any) -> str:
    return str(parameter.dtype).removeprefix("torch.")


def _softplus(x: Any, beta: float, threshold: float) -> Tensor:
    """log(1 + exp(beta · x)) / beta, and x itself where beta · x is over the threshold."""
    scaled = beta * ops.as_tensor(x)
    return ops.where(scaled > threshold, x, ops.softplus(scaled) / beta)


_CELL = ("input_size", "hidden_size", "bias")
_LAYER = (*_CELL, "num_layers", "batch_first", "dropout", "bidirectional")
_OPTIONS: dict[str, tuple[str, ...]] = {
    "RNN": (*_LAYER, "nonlinearity"),
    "LSTM": (*_LAYER, "proj_size"),
    "GRU": _LAYER,
    "RNNCell": (*_CELL, "nonlinearity"),
    "LSTMCell": _CELL,
    "GRUCell": _CELL,
    "Linear": ("in_features", "out_features", "bias"),
    "Embedding": ("num_embeddings", "embedding_dim", "padding_idx"),
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine", "bias"),
    "Dropout": ("p",),
}
"""What a layer here is made with; PyTorch's attributes have the same names."""

_UNSUPPORTED: dict[str, dict[str, Any]] = {
    "Embedding": {"max_norm": None, "scale_grad_by_freq": False},
    "GELU": {"approximate": "none"},
}
"""Options that only have their usual value here."""

_ACTIVATIONS: dict[str, Callable[[Any], Callable[..., Any]]] = {
    "Identity": lambda m: ops.as_tensor,
    "Tanh": lambda m: ops.tanh,
    "Sigmoid": lambda m: ops.sigmoid,
    "ReLU": lambda m: ops.relu,
    "ReLU6": lambda m: partial(derived.elementwise.hardtanh, low=0.0, high=6.0),
    "LeakyReLU": lambda m: partial(derived.elementwise.leaky_relu, negative_slope=m.negative_slope),
    "ELU": lambda m: partial(derived.elementwise.elu, alpha=m.alpha),
    "GELU": lambda m: derived.elementwise.gelu,
    "SiLU": lambda m: derived.elementwise.silu,
    "Softplus": lambda m: partial(_softplus, beta=m.beta, threshold=m.threshold),
    "Softsign": lambda m: derived.elementwise.softsign,
    "Hardtanh": lambda m: partial(derived.elementwise.hardtanh, low=m.min_val, high=m.max_val),
    "Hardsigmoid": lambda m: derived.elementwise.hard_sigmoid,
    "LogSigmoid": lambda m: derived.elementwise.log_sigmoid,
    "Softmax": lambda m: partial(derived.reductions.softmax, axis=m.dim),
    "LogSoftmax": lambda m: partial(derived.reductions.log_softmax, axis=m.dim),
}

__all__ = ["from_module", "load", "save"]


def __dir__() -> list[str]:
    return __all__
