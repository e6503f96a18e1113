"""What all cells of the library have: weights, biases, activations, and the checks of what comes in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict

from .. import arguments, ops
from ..arguments import DTypeLike
from ..errors import ArgumentError
from ..tape import lift
from ..tensor import Tensor
from . import activations, init
from .activations import ActivationLike
from .layers import require
from .module import Module
from .parameter import Parameter
from .wording import options_of_cell


class Shape:
    """The axes after the batch of one tensor of a state, where they are not one: ``state_size = Shape(4, 4)``
    is a matrix for each sample, ``state_size = (4, 4)`` two vectors.

    >>> tg.nn.Shape(4, 4)
    Shape(4, 4)

    Raises:
        ArgumentError: an axis is no integer, or below 0.
    """

    def __init__(self, *axes: int) -> None:
        self.axes: tuple[int, ...] = tuple(
            [arguments.size(f"Shape: axes[{i}]", n) for i, n in enumerate(axes)]
        )

    def __repr__(self) -> str:
        return f"Shape({', '.join(map(str, self.axes))})"


class CellOptions(TypedDict, total=False):
    """What every cell may be told beside its sizes.

    activation: of the candidate; a name or a function, as :func:`tinygrad_rnn.nn.activations.get` takes it.
    gate_clip: what goes into the activations of gates and candidate is held between ∓ this, as ONNX's clip.
    biases: 2 vectors as PyTorch has them, whose sum counts; or 1, ``bias_ih``.
    """

    activation: ActivationLike
    gate_clip: float | None
    biases: int


class GateOptions(CellOptions, total=False):
    """What cells with gates may be told.

    recurrent_activation: of the gates; or a dict that has another one for some of them, by their letters.
    """

    recurrent_activation: ActivationLike | Mapping[str, ActivationLike]


class Cell(Module):
    """What the cells share: the two projections, and the checks of what comes in.

    Attributes:
        gates: in the order of their rows, a letter for each; the candidate has a letter too.
        state_size: the last axis of each tensor of the state, nested as the state.
    """

    gates: ClassVar[str] = "n"
    input_size: int
    hidden_size: int
    output_size: int
    state_size: int | tuple[int, int]

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        proj_size: int,
        bias: bool,
        dtype: DTypeLike | None,
        activation: ActivationLike = "tanh",
        recurrent_activation: ActivationLike | Mapping[str, ActivationLike] = "sigmoid",
        gate_clip: float | None = None,
        biases: int = 2,
        forget_bias: float | None = None,
    ) -> None:
        name = type(self).__name__
        self.input_size = input_size = arguments.size(f"{name}: input_size", input_size)
        self.hidden_size = hidden_size = arguments.size(f"{name}: hidden_size", hidden_size)
        self.output_size = output_size = arguments.size(f"{name}: proj_size", proj_size) or hidden_size
        bias = arguments.flag(f"{name}: bias", bias)
        dtype = arguments.optional(arguments.float_dtype, f"{name}: dtype", dtype)
        self.activation: Any = activations.checked(f"{name}: activation", activation)
        if len(self.gates) > 1:
            self.recurrent_activation: Any = self._of_gates(recurrent_activation)
        self.gate_clip: float | None = arguments.optional(arguments.bound, f"{name}: gate_clip", gate_clip)
        if (both := arguments.whole(f"{name}: biases", biases)) not in (1, 2):
            raise arguments.refused(f"{name}: biases", "1 or 2", biases)
        opened = arguments.optional(arguments.real, f"{name}: forget_bias", forget_bias)
        if opened is not None and not bias:
            raise ArgumentError(f"{name}: forget_bias is a value of a bias, and bias=False leaves it out")
        rows = len(self.gates) * hidden_size
        self.weight_ih: Parameter = self._parameter((rows, input_size), dtype)
        self.weight_hh: Parameter = self._parameter((rows, output_size), dtype)
        self.bias_ih: Parameter | None = self._parameter((rows,), dtype) if bias else None
        self.bias_hh: Parameter | None = self._parameter((rows,), dtype) if bias and both == 2 else None
        self._open(self.bias_ih, self.bias_hh, opened)

    def _options(self) -> list[str]:
        return options_of_cell(self)

    def _open(self, bias: Tensor | None, other: Tensor | None, value: float | None) -> None:
        """Put the first value of the forget gate's bias into one of two that are added."""
        forget = self.gates.find("f") * self.hidden_size
        for vector, first in ((bias, value), (other, 0.0)):
            if value is not None and vector is not None:
                vector._data[forget : forget + self.hidden_size] = first

    def _of_gates(self, given: Any) -> Any:
        """The activation of all gates, or a dict with that of each."""
        what = f"{type(self).__name__}: recurrent_activation"
        if not isinstance(given, Mapping):
            return activations.checked(what, given)
        letters = [letter for letter in self.gates if letter not in "gn"]
        if not given.keys() <= set(letters):
            raise arguments.refused(what, f"of the gates {', '.join(letters)}", given)
        return {
            letter: activations.checked(f"{what}[{letter!r}]", given.get(letter, "sigmoid"))
            for letter in letters
        }

    def _parameter(self, shape: tuple[int, ...], dtype: DTypeLike | None) -> Parameter:
        return Parameter(
            init.uniform(shape, 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0, dtype)
        )

    def _tensors(self, x: Any, state: Any) -> tuple[Tensor, ...]:
        """x and the tensors of the state.

        Raises:
            ArgumentError, ShapeError, DtypeError: they are not what the cell takes.
        """
        name, backend, dtype = type(self).__name__, self.weight_ih._backend, self.weight_ih.dtype
        pair = isinstance(self.state_size, tuple)
        if pair and not (isinstance(state, (tuple, list)) and len(state) == 2):
            raise arguments.refused(f"{name}: the state", "a pair (h, c)", state)
        tensors = tuple([lift(part, backend) for part in (x, *(state if pair else (state,)))])
        require(f"{name}: the input x", tensors[0], self.input_size, dtype)
        require(f"{name}: the state h", tensors[1], self.output_size, dtype)
        if pair:
            require(f"{name}: the state c", tensors[2], self.hidden_size, dtype)
        samples = [x._data.shape[:-1] for x in tensors]
        if samples.count(samples[0]) != len(samples):
            ops.joint_shape(f"{name}: the samples of x and of the state", *samples)
        return tensors

    def _sum(self, x: Any, h: Any) -> Tensor:
        """x Wᵀ + h Uᵀ + b, for all gates at once."""
        a = x @ self.weight_ih.T + h @ self.weight_hh.T
        if self.bias_ih is None:
            return a
        return a + (self.bias_ih if self.bias_hh is None else self.bias_ih + self.bias_hh)

    def _activated(self, activation: Any, a: Tensor) -> Tensor:
        """An activation of what is clipped where that is asked for."""
        a = a if self.gate_clip is None else ops.clip(a, -self.gate_clip, self.gate_clip)
        return activations.function_of(activation)(a)

    def _candidate(self, a: Tensor) -> Tensor:
        return self._activated(self.activation, a)

    def _gate(self, letter: str, a: Tensor) -> Tensor:
        how = self.recurrent_activation
        return self._activated(how[letter] if type(how) is dict else how, a)

    def step_dropped(self, x: Any, state: Any, mask: Any) -> tuple[Tensor, Any]:
        """A step whose recurrent weights see h · mask, while all else has h itself: recurrent dropout (Gal &
        Ghahramani 2016)."""
        x, h, *others = self._tensors(x, state)
        return self._step(x, h * mask, h, *others)

    def _step(self, x: Any, seen: Any, h: Any, *others: Any) -> tuple[Tensor, Any]:
        """Output and new state.

        Args:
            seen: h as the recurrent weights see it.
        """
        raise NotImplementedError
