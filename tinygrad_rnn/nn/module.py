"""Modules are plain objects; one walker finds what they hold."""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar, TypeVar

from .. import arguments, backends
from ..arguments import DTypeLike
from ..effects import effect
from ..errors import ArgumentError, CheckpointError, DtypeError, ModuleError, ShapeError
from ..ops import ArrayLike
from ..tape import Scope, host_values, in_scope, thread
from ..tensor import Tensor
from .names import LoadedNames, advice_of
from .parameter import Parameter
from .variables import held_by


class Module:
    """Base of everything that holds parameters.

    A subclass assigns parameters, other modules, and lists, tuples and dicts of them, to attributes; there is
    nothing to register and no ``__init__`` to call. A parameter is a :class:`Parameter`, or any other leaf
    that requires grad. Those that a function holds which is among the attributes, as a cell may be one, count
    too: what it closes over, its defaults, and the globals that its code names. What the module computes it
    says in ``__call__``, or as in PyTorch in ``forward``.

    >>> class Scale(tg.nn.Module):
    ...     def __init__(self):
    ...         self.factor = tg.nn.Parameter(2.0)
    ...     def forward(self, x):
    ...         return self.factor * x
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    training: bool = True
    settled: ClassVar[tuple[str, ...]] = ()
    """Names of options that count when an object is made, and that nobody would hear of later."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Assign an attribute.

        Raises:
            ArgumentError: a parameter would be lost without a word: its place is for another tensor, a module
                or None; or it is an option that is settled.
        """
        if name in self.settled:
            raise ArgumentError(
                f"{type(self).__name__}: {name} is settled when a layer is made: give {name}=… there"
            )
        before = vars(self).get(name)
        if isinstance(before, Tensor) and _counts(before) and not _may_replace(value):
            raise ArgumentError(
                f"{type(self).__name__}: {name} is a parameter, and {arguments.shown(value)} is none: "
                f"for other values write {name}.data = …, for another parameter {name} = nn.Parameter(…)"
            )
        object.__setattr__(self, name, value)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__call__" in vars(cls):
            cls.__call__ = _recorded(vars(cls)["__call__"])  # type: ignore[method-assign]
        elif "forward" in vars(cls):  # also where a base has a __call__
            cls.__call__ = Module.__call__  # type: ignore[method-assign]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What ``forward`` returns.

        Raises:
            ModuleError: the class does not have it.
        """
        forward = getattr(type(self), "forward", None)
        if forward is None:
            raise ModuleError(
                f"{type(self).__name__} cannot be called: define __call__(self, …) or forward(self, …) in "
                "the class"
            )
        return _called(forward, self, *args, **kwargs)

    def _members(self) -> Iterable[tuple[str, Any]]:
        """What the walker goes on to, by name: the attributes, in the order in which they were assigned."""
        return vars(self).items()

    def named_parameters(self, remove_duplicate: bool = True) -> Iterator[tuple[str, Tensor]]:
        """Dotted names and parameters, in a fixed order.

        Args:
            remove_duplicate: one that is shared comes once, under its first name, and not under all.

        Raises:
            CheckpointError: one name stands for two parameters.
        """
        once = arguments.flag("named_parameters: remove_duplicate", remove_duplicate)
        named = self._by_name().items()
        return _once(named) if once else iter(named)

    def _by_name(self) -> dict[str, Tensor]:
        """Every name of every parameter."""
        named: dict[str, Tensor] = {}
        for name, parameter in _inside(self, Tensor):
            if named.setdefault(name, parameter) is not parameter:
                raise CheckpointError(
                    f"{type(self).__name__}: two parameters have the name {name!r}, as those of a dict "
                    "with the keys 1 and '1', or 'a.b' "
                    "beside 'a': rename one, or one would be lost in a file"
                )
        return named

    def parameters(self) -> list[Tensor]:
        """The parameters, each once."""
        return list({id(parameter): parameter for _, parameter in _inside(self, Tensor)}.values())

    def state_dict(self) -> dict[str, Tensor]:
        """Every name, also the further ones of shared parameters, and its values off the tape.

        Training replaces arrays instead of writing into them, so what this returns stays as it is.

        Raises:
            CheckpointError: one name stands for two parameters.
        """
        return {name: parameter.detach() for name, parameter in self._by_name().items()}

    @effect("changes parameters")
    def load_state_dict(self, values: Mapping[str, ArrayLike], strict: bool = True) -> LoadedNames:
        """Replace the parameters' values, all of them or, if anything does not fit, none.

        Args:
            values: tensors, NumPy arrays, or what NumPy can convert, such as PyTorch's tensors. They take the
                parameters' dtypes.
            strict: whether the names must be exactly the module's.

        Returns:
            The missing and the unexpected names; with ``strict`` there are none.

        Raises:
            CheckpointError: names are missing or unexpected, shapes differ, or a value does not hold numbers.
        """
        values, strict = (
            arguments.mapping("load_state_dict: values", values),
            arguments.flag("load_state_dict: strict", strict),
        )
        ours = self._by_name()
        names = LoadedNames(
            [name for name in ours if name not in values], [name for name in values if name not in ours]
        )
        problems = (
            [f"missing: {name}" for name in names[0]]
            + [f"unexpected: {name}" for name in names[1]]
            + advice_of(names)
            if strict
            else []
        )
        arrays = {}
        for name in (name for name in ours if name in values):
            try:
                arrays[name] = host_values(values[name])
            except (DtypeError, ShapeError, RuntimeError) as error:
                problems.append(f"{name}: {error}")
                continue
            if arrays[name].shape != ours[name].shape:
                problems.append(
                    f"{name}: shape {arrays[name].shape} does not fit the parameter's {ours[name].shape}"
                )
        if problems:
            raise CheckpointError(
                f"the values do not fit {type(self).__name__}, nothing was loaded: " + "; ".join(problems)
            )
        for name, array in arrays.items():
            parameter = ours[name]
            parameter._data = parameter._backend.from_host(array.astype(parameter.dtype, copy=False))
        return names

    @effect("sets a gradient")
    def zero_grad(self) -> None:
        """Forget the residuals."""
        for parameter in self.parameters():
            parameter._grad = None

    def named_modules(self) -> Iterator[tuple[str, Module]]:
        """This module, under the name "", and those inside it, each once under its first dotted name."""
        return _once(_inside(self, Module))

    def modules(self) -> Iterator[Module]:
        """This module and those inside it, each once."""
        return (module for _, module in self.named_modules())

    @effect("switches between training and evaluation")
    def train(self: M, mode: bool = True) -> M:
        """Switch dropout on (or off), here and inside."""
        mode = arguments.flag("train: mode", mode)
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: M) -> M:
        """Switch dropout off."""
        return self.train(False)

    @effect("changes whether a tensor requires grad")
    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Let the parameters learn, or freeze them: optimisers leave those alone that require no grad.

        Raises:
            ArgumentError: ``requires_grad`` is neither True nor False; or something would be frozen that is a
                parameter only because it requires grad, and would be none afterwards.
        """
        call = f"{type(self).__name__}.requires_grad_"
        requires_grad = arguments.flag(f"{call}: requires_grad", requires_grad)
        for name, parameter in self.named_parameters():
            if not (requires_grad or isinstance(parameter, Parameter)):
                raise ArgumentError(
                    f"{call}: {name} is a tensor that requires grad; frozen it would be no parameter, and in "
                    "no state_dict: make it an nn.Parameter"
                )
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    @effect("changes parameters")
    def astype(self: M, dtype: DTypeLike) -> M:
        """Change the parameters to another float dtype, in place; residuals are forgotten. Make the optimiser
        afterwards.

        Raises:
            DtypeError: it is no float.
        """
        dtype = arguments.float_dtype(f"{type(self).__name__}.astype: dtype", dtype)
        for parameter in self.parameters():
            parameter._data, parameter._grad = parameter._data.astype(dtype), None
        return self

    @effect("changes parameters")
    def to(self: M, backend: str) -> M:
        """Move the parameters to another backend, in place; residuals are forgotten. Make the optimiser
        afterwards.

        Raises:
            BackendError: there is no such backend.
        """
        target = backends.get(backend)
        for parameter in self.parameters():
            parameter._data = target.from_host(parameter._backend.to_host(parameter._data))
            parameter._backend, parameter._grad = target, None
        return self

    def __repr__(self) -> str:
        head = f"{type(self).__name__}({', '.join(self._options())}"
        lines = [line.replace("\n", "\n  ") for line in self._parts()]
        return "\n  ".join([head, *lines]) + "\n)" if lines else f"{head})"

    def _options(self) -> list[str]:
        """What is said of a module beside its parameters, as it is written in a call."""
        return []

    def _parts(self) -> list[str]:
        """What a module is made of, a line for each part: its parameters."""
        return [
            f"{name}: {parameter.dtype}{list(parameter.shape)}"
            for name, parameter in _once(_inside(self, Tensor))
        ]


def _recorded(call: Callable[..., Any]) -> Callable[..., Any]:
    """The call of a module, with a mark on what it records that says which module it was."""

    @functools.wraps(call)
    def recorded(self: Module, *args: Any, **kwargs: Any) -> Any:
        return _called(call, self, *args, **kwargs)

    return recorded


def _called(call: Callable[..., Any], module: Module, *args: Any, **kwargs: Any) -> Any:
    """The result of a module's call, which is noted where somebody asks for it."""
    result = in_scope(
        Scope("module", module, thread.scope, (call, (module, *args), kwargs)), call, module, *args, **kwargs
    )
    noted = _noted.get()
    if noted is not None and thread.tracing is None:  # what is traced is placeholders
        noted.append((module, result))
    return result


_noted: contextvars.ContextVar[list[tuple[Module, Any]] | None] = contextvars.ContextVar(
    "tinygrad_rnn_calls", default=None
)


@contextlib.contextmanager
def calls_noted() -> Iterator[list[tuple[Module, Any]]]:
    """A block that notes the calls of modules, and what they returned, in the order in which they end."""
    calls: list[tuple[Module, Any]] = []
    before = _noted.set(calls)
    try:
        yield calls
    finally:
        _noted.reset(before)


M = TypeVar("M", bound=Module)
T = TypeVar("T")


def _inside(value: Any, kind: type) -> list[tuple[str, Any]]:
    """The walker: modules or parameters inside a value, with their dotted names. What holds itself is not
    walked twice.

    What functions hold comes last, and only what is held nowhere else.
    """
    functions: list[tuple[str, Any, tuple[Any, ...]]] = []
    pairs: list[tuple[str, Any]] = []
    _walk(value, kind, "", (), pairs, functions)
    seen = {id(thing) for _, thing in pairs} if functions else set()
    for path, function, inside in functions:  # grows on the way
        for name, variable in held_by(function):
            if isinstance(variable, _WALKED):
                more: list[tuple[str, Any]] = []
                _walk({name: variable}, kind, path, (*inside, function), more, functions)
                for pair in more:
                    if id(pair[1]) not in seen:
                        seen.add(id(pair[1]))
                        pairs.append(pair)
    return pairs


def tensors_inside(value: Any) -> list[Tensor]:
    """The parameters that anything holds: a module, a function, lists and dicts of them."""
    return [tensor for _, tensor in _inside({"": value}, Tensor)]


def _once(pairs: Iterable[tuple[str, T]]) -> Iterator[tuple[str, T]]:
    """Each thing under the first of its names."""
    seen = set()
    for name, thing in pairs:
        if id(thing) not in seen:
            seen.add(id(thing))
            yield name, thing


def _walk(
    value: Any,
    kind: type,
    name: str,
    inside: tuple[Any, ...],
    pairs: list[tuple[str, Any]],
    functions: list[Any],
) -> None:
    for outer in inside:
        if value is outer:
            return
    if isinstance(value, kind):
        pairs.append((name, value))
    for key, child in _children(value):
        if isinstance(child, _WALKED):
            path = f"{name}.{key}" if name else str(key)
            if not isinstance(child, Tensor):
                _walk(child, kind, path, (*inside, value), pairs, functions)
            elif kind is Tensor and _counts(child):
                pairs.append((path, child))
        elif callable(child) and not any(child is outer for outer in inside):
            functions.append((f"{name}.{key}" if name else str(key), child, (*inside, value)))


_WALKED: tuple[type, ...] = (Tensor, Module, dict, list, tuple)


def _counts(value: Tensor) -> bool:
    """Whether a tensor that a module holds is a parameter, frozen ones included, and not some result that it
    keeps."""
    return isinstance(value, Parameter) or (value.requires_grad and value.entry is None)


def _may_replace(value: Any) -> bool:
    """Whether something may stand in a parameter's place."""
    # a tensor that another network made, in a hypernetwork
    return value is None or isinstance(value, (Module, Tensor))


def _children(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, Module):
        return value._members()
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()
