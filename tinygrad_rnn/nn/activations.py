"""Functions of one element by their names, for the candidates and the gates of cells.

    layer = nn.LSTM(3, 8, activation="softsign", recurrent_activation="hard_sigmoid")
    layer = nn.GRU(3, 8, recurrent_activation=nn.activations.hard_sigmoid(0.2))  # clip(x / 5 + ½, 0, 1)

Any other function of a tensor may stand for a name. Those with numbers of their own are made by the functions
below, which have the names, the α and the β of ONNX's recurrent operators; what they return tells them
(``.name``, ``.alpha``, ``.beta``), so that they can be written into a file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .. import arguments, ops
from ..derived import elementwise
from ..ops import ArrayLike, as_tensor
from ..tensor import Tensor

ActivationLike: TypeAlias = "str | Callable[[Any], Any]"
"""A name, or a function of a tensor."""


def linear(x: ArrayLike) -> Tensor:
    """x itself.

    >>> tg.nn.activations.linear([1.0, -2.0])
    tensor([ 1., -2.], dtype=float32)
    """
    return as_tensor(x)


def selu(x: ArrayLike) -> Tensor:
    """1.0507 · elu(x) with α = 1.6733, which keeps mean 0 and variance 1 (Klambauer et al. 2017).

    >>> print(f"{tg.nn.activations.selu(1.0):.4f}")
    1.0507
    """
    return _SELU_SCALE * elementwise.elu(x, _SELU_ALPHA)


_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


def relu6(x: ArrayLike) -> Tensor:
    """relu(x), and 6 from there on (Krizhevsky 2010).

    >>> tg.nn.activations.relu6([-1.0, 2.0, 8.0])
    tensor([0., 2., 6.], dtype=float32)
    """
    return ops.clip(ops.relu(x), 0.0, 6.0)


def mish(x: ArrayLike) -> Tensor:
    """x · tanh(softplus(x)) (Misra 2019).

    >>> print(f"{tg.nn.activations.mish(1.0):.4f}")
    0.8651
    """
    return ops.multiply(x, ops.tanh(ops.softplus(x)))


def hard_silu(x: ArrayLike) -> Tensor:
    """x · clip(x / 6 + ½, 0, 1) (Howard et al. 2019).

    >>> tg.nn.activations.hard_silu([-3.0, 0.0, 3.0])
    tensor([-0.,  0.,  3.], dtype=float32)
    """
    return ops.multiply(x, elementwise.hard_sigmoid(x))


_NAMED: dict[str, Callable[[Any], Tensor]] = {
    "tanh": ops.tanh,
    "relu": ops.relu,
    "sigmoid": ops.sigmoid,
    "hard_sigmoid": elementwise.hard_sigmoid,
    "softsign": elementwise.softsign,
    "softplus": ops.softplus,
    "linear": linear,
    "elu": elementwise.elu,
    "selu": selu,
    "silu": elementwise.silu,
    "gelu": elementwise.gelu,
    "leaky_relu": elementwise.leaky_relu,
    "relu6": relu6,
    "mish": mish,
    "exponential": ops.exp,
    "hard_silu": hard_silu,
    "hard_tanh": elementwise.hardtanh,
    "log_sigmoid": elementwise.log_sigmoid,
}
_OTHER_NAMES = {"swish": "silu", "hard_swish": "hard_silu", "celu": "elu"}
"""Names of the same functions; celu is elu where α is 1."""


def get(activation: ActivationLike) -> Callable[[Any], Any]:
    """The function of a name; a function as it is.

    >>> tg.nn.activations.get("hard_sigmoid")(0.0)
    tensor(0.5, dtype=float32)

    Args:
        activation: tanh, relu, sigmoid, hard_sigmoid (clip(x / 6 + ½, 0, 1)), softsign, softplus, linear,
            elu (with α = 1 as celu, which is another name for it), selu, silu or swish, gelu (with the error
            function), leaky_relu (0.01 · x below 0, as PyTorch; Keras' is ``leaky_relu(0.2)``), relu6, mish,
            exponential, hard_silu or hard_swish, hard_tanh, log_sigmoid; or a function of a tensor.

    Raises:
        ArgumentError: there is no such name, or it is no function.
    """
    return function_of(checked("activations.get: activation", activation))


def checked(what: str, activation: Any) -> Any:
    """A name, the first one of a function with several, also where the function itself was given; or another
    function.

    Raises:
        ArgumentError: it is neither.
    """
    if isinstance(activation, str):
        activation = _OTHER_NAMES.get(activation, activation)
        if activation in _NAMED:
            return activation
    if not callable(activation) or isinstance(activation, type):
        names = ", ".join(map(repr, [*_NAMED, *_OTHER_NAMES]))
        raise arguments.refused(what, f"one of {names}, or a function of a tensor", activation)
    return next((name for name, function in _NAMED.items() if function is activation), activation)


def function_of(activation: Any) -> Callable[[Any], Any]:
    """The function of what :func:`checked` returned."""
    return _NAMED[activation] if type(activation) is str else activation


# -- with numbers of their own -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Activation:
    """A function of one element with numbers of its own, as the functions below make it.

    Attributes:
        name: that of the function which made it.
        alpha, beta: its numbers; None for one that it does not have.
    """

    name: str
    alpha: float
    beta: float | None = None

    def __call__(self, x: ArrayLike) -> Tensor:
        return _FORMULAS[self.name](as_tensor(x), self.alpha, self.beta)


_FORMULAS: dict[str, Callable[[Tensor, Any, Any], Tensor]] = {
    "affine": lambda x, alpha, beta: alpha * x + beta,
    "elu": lambda x, alpha, beta: elementwise.elu(x, alpha),
    "hard_sigmoid": lambda x, alpha, beta: ops.clip(alpha * x + beta, 0.0, 1.0),
    "leaky_relu": lambda x, alpha, beta: elementwise.leaky_relu(x, alpha),
    "scaled_tanh": lambda x, alpha, beta: alpha * ops.tanh(beta * x),
    "thresholded_relu": lambda x, alpha, beta: ops.where(x > alpha, x, 0),
}


def affine(alpha: float = 1.0, beta: float = 0.0) -> Activation:
    """alpha · x + beta.

    >>> tg.nn.activations.affine(2.0, 1.0)([0.0, 3.0])
    tensor([1., 7.], dtype=float32)
    """
    return _made("affine", alpha, beta)


def hard_sigmoid(alpha: float = 1 / 6, beta: float = 0.5) -> Activation:
    """clip(alpha · x + beta, 0, 1): with ⅙ as PyTorch and Keras 3 have it, with 0.2 as Keras 2 and ONNX by
    default.

    >>> tg.nn.activations.hard_sigmoid(0.2)([-1.0, 5.0])
    tensor([0.3, 1. ], dtype=float32)
    """
    return _made("hard_sigmoid", alpha, beta)


def leaky_relu(alpha: float = 0.01) -> Activation:
    """x above 0, and alpha · x below: with 0.01 as PyTorch, and ONNX by default; Keras' has 0.2.

    >>> tg.nn.activations.leaky_relu(0.5)([-2.0, 3.0])
    tensor([-1.,  3.], dtype=float32)
    """
    return _made("leaky_relu", alpha)


def thresholded_relu(alpha: float = 1.0) -> Activation:
    """x above alpha, and 0 elsewhere (Konda, Memisevic & Krueger 2015).

    >>> tg.nn.activations.thresholded_relu(1.0)([0.5, 3.0])
    tensor([0., 3.], dtype=float32)
    """
    return _made("thresholded_relu", alpha)


def scaled_tanh(alpha: float = 1.0, beta: float = 1.0) -> Activation:
    """alpha · tanh(beta · x); LeCun's has 1.7159 and ⅔.

    >>> tg.nn.activations.scaled_tanh(2.0, 1.0)([0.0, 100.0])
    tensor([0., 2.], dtype=float32)
    """
    return _made("scaled_tanh", alpha, beta)


def elu(alpha: float = 1.0) -> Activation:
    """x above 0, and alpha · (exp(x) − 1) below.

    >>> tg.nn.activations.elu(2.0)([-100.0, 3.0])
    tensor([-2.,  3.], dtype=float32)
    """
    return _made("elu", alpha)


def _made(name: str, alpha: Any, beta: Any = None) -> Activation:
    return Activation(
        name,
        arguments.real(f"{name}: alpha", alpha),
        arguments.optional(arguments.real, f"{name}: beta", beta),
    )


__all__ = [
    "affine",
    "elu",
    "get",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "linear",
    "mish",
    "relu6",
    "scaled_tanh",
    "selu",
    "thresholded_relu",
]


def __dir__() -> list[str]:
    return __all__
