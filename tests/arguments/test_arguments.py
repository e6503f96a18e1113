"""Every argument of the public face with every value that it must not have: an error of ours that names it,
and nothing is changed."""

from __future__ import annotations

import inspect
import os
import random
import re
import shutil
import warnings
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_rnn as tg
from tests.arguments.face import PUBLIC, World, signature
from tests.arguments.hostile import KINDS, POOL, Kind
from tests.arguments.table import argument
from tinygrad_rnn import tree

pytestmark = pytest.mark.numpy_only

RANDOM_CALLS = int(os.environ.get("TINYGRAD_RNN_HOSTILE_CALLS", "400"))
"""How many calls the random test makes."""

Parameters = dict[str, inspect.Parameter]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Worlds:
    """A world to call in, made anew only after a call has changed it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.renew()

    def renew(self) -> None:
        tg.set_default_dtype("float32")
        tg.set_memory_budget(None)
        tg.backends._process_backend = None
        for path in self.folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.world = World(self.folder)

    def call(
        self, label: str, parameters: Parameters, changes: dict[str, Any]
    ) -> tuple[Any, Exception | None, list[str]]:
        """Call a function with its usual arguments, some of them changed; of several that ``*args`` takes,
        the first.

        Returns:
            The result or None, the error or None, and what is not as it was before.
        """
        world = self.world
        function = PUBLIC[label](world)
        values = {name: argument(label, name).make(world) for name in parameters}
        for name, value in changes.items():
            several = parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            values[name] = (value, *values[name][1:]) if several else value
        before, result, error = world.seen(), None, None
        try:
            result = called(function, values, parameters)
        except Exception as raised:  # which one it may be is what is tested
            error = raised
        after = world.seen()
        changed = [name for name in after if after[name] != before.get(name)]
        if changed or "loss" in vars(world):  # a result's tape may be used up
            self.renew()
        return result, error, changed


def called(function: Any, values: dict[str, Any], parameters: Parameters) -> Any:
    """Call a function with values by parameter."""
    positional, named = [], {}
    for name, value in values.items():
        if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
            positional += value
        elif parameters[name].kind is inspect.Parameter.KEYWORD_ONLY:
            named[name] = value
        else:
            positional.append(value)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*positional, **named)


def named(error: Exception, name: str, kind: Kind) -> bool:
    """Whether an error names the argument, or the operation with its operands: ``add(float64[2, 3], 'x'):
    …``"""
    said = str(error)
    return any(word in said for word in (name, *kind.names)) or re.match(r"\w+\(.*\): ", said) is not None


Part = Callable[[str, str, dict[str, Any]], Iterator[tuple[str, Any]]]


@pytest.fixture
def part(request: pytest.FixtureRequest) -> Part:
    """``part(label, name, values)``: every fourth value for an argument, beginning somewhere; all with
    ``--every``.

    What a kind of argument refuses is said once, and asked for by many functions: among these each value is
    tried.
    """
    every = request.config.getoption("--every", default=False)

    def chosen(label: str, name: str, values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
        first = zlib.crc32(f"{label} {name}".encode())
        return (pair for i, pair in enumerate(values.items()) if every or (first + i) % 4 == 0)

    return chosen


@pytest.fixture(scope="module")
def face(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Parameters]:
    """The parameters of every public function."""
    world = World(tmp_path_factory.mktemp("face"))
    return {label: signature(label, world) for label in PUBLIC}


def test_every_parameter_has_a_kind(face: dict[str, Parameters]) -> None:
    kinds = {argument(label, name).kind for label, parameters in face.items() for name in parameters}
    assert kinds == KINDS.keys()
    assert len(face) > 350


@pytest.mark.parametrize("label", PUBLIC)
def test_refusals(label: str, folder: Path, face: dict[str, Parameters], part: Part) -> None:
    """The usual call works; with one argument replaced by a hostile value it is refused, by name, and changes
    nothing."""
    worlds, parameters = Worlds(folder), face[label]
    if parameters:
        _, error, _ = worlds.call(label, parameters, {})
        assert error is None
    problems = []
    for name, parameter in parameters.items():
        kind = KINDS[argument(label, name).kind]
        for value, make in part(label, name, kind.wrong()):
            if value == "None" and parameter.default is None:
                continue
            _, error, changed = worlds.call(label, parameters, {name: make()})
            if not isinstance(error, tg.TinygradRNNError) or not named(error, name, kind) or changed:
                problems.append(f"{name} = {value}: {error!r:.200}, changed: {changed}")
    assert problems == []


# -- odd values that are right -------------------------------------------------------------------------------


def numpys(label: str) -> Any:
    """NumPy's function of the same name, or None."""
    room, _, name = label.partition(".")
    if room not in ("tg", "linalg") or label in ("tg.array", "tg.save", "tg.load", "tg.reciprocal"):
        return None  # reciprocal: NumPy's cuts whole numbers to 0
    return getattr(np.linalg, name, None) if room == "linalg" or name == "norm" else getattr(np, name, None)


def plain(value: Any) -> Any:
    """Tensors as arrays, also inside lists."""
    if isinstance(value, (list, tuple)):
        return type(value)(plain(part) for part in value)
    return value.numpy() if isinstance(value, tg.Tensor) else value


def theirs(function: Any, values: dict[str, Any], parameters: Parameters) -> Any:
    """The same call of NumPy's function.

    Raises:
        LookupError: it has no such parameter.
    """
    known = {} if isinstance(function, np.ufunc) else inspect.signature(function).parameters
    open_end = any(parameter.kind is parameter.VAR_KEYWORD for parameter in known.values())
    positional, named = [], {}
    for name, value in values.items():
        parameter, value = parameters[name], plain(value)
        name = name.upper() if name.upper() in known else name
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += value
        elif parameter.default is parameter.empty or isinstance(function, np.ufunc):
            positional.append(value)
        elif value is parameter.default:
            continue
        elif name in known or open_end:
            named[name] = value
        else:
            raise LookupError(name)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return function(*positional, **named)


def same(ours: Any, expected: Any) -> bool:
    found = [plain(part) for part in tree.leaves(ours)]
    wanted = [np.asarray(part) for part in (expected if isinstance(expected, (list, tuple)) else [expected])]
    return len(found) == len(wanted) and all(
        np.shape(a) == b.shape
        and np.allclose(np.asarray(a, float), b.astype(float), rtol=2e-3, atol=1e-5, equal_nan=True)
        for a, b in zip(found, wanted, strict=True)
    )


DIFFERENT = {
    ("tg.nan_to_num", "nan"): "several numbers are broadcast with x",
    ("tg.nan_to_num", "x"): "a Python inf is float32 here, and its largest number is another",
}
"""Where ours is another number than NumPy's, and why."""

AS_NUMPY = [label for label in PUBLIC if callable(numpys(label)) and not isinstance(numpys(label), type)]


@pytest.mark.parametrize("label", AS_NUMPY)
def test_odd_values_are_as_in_numpy_or_refused(label: str, folder: Path, face: dict[str, Parameters]) -> None:
    worlds, parameters, problems, compared = Worlds(folder), face[label], [], 0
    for name in parameters:
        for value, make in KINDS[argument(label, name).kind].odd().items():
            if label == "tg.diff" and "**" in value:
                continue  # NumPy's runs for ever
            result, error, changed = worlds.call(label, parameters, {name: make()})
            if isinstance(error, tg.TinygradRNNError) and not changed:
                continue
            if error is not None:
                problems.append(f"{name} = {value}: {error!r}, changed: {changed}")
                continue
            values = {other: argument(label, other).make(worlds.world) for other in parameters}
            several = parameters[name].kind is inspect.Parameter.VAR_POSITIONAL
            values[name] = (make(), *values[name][1:]) if several else make()
            try:
                expected = theirs(numpys(label), values, parameters)
            except Exception:  # what NumPy does not take may have a meaning here
                continue
            compared += 1
            if not same(result, expected) and (label, name) not in DIFFERENT:
                problems.append(f"{name} = {value}: {result} instead of {expected}")
    assert problems == []
    assert compared


@pytest.mark.parametrize("label", [label for label in PUBLIC if label not in AS_NUMPY])
def test_odd_values_are_taken_or_refused(
    label: str, folder: Path, face: dict[str, Parameters], part: Part
) -> None:
    worlds, parameters, problems = Worlds(folder), face[label], []
    for name in parameters:
        for value, make in part(label, name, KINDS[argument(label, name).kind].odd()):
            given = {name: make()}
            _, error, changed = worlds.call(label, parameters, given)
            if (
                error is not None
                and (not isinstance(error, tg.TinygradRNNError) or changed)
                and not of_the_users(error, given)
            ):
                problems.append(f"{name} = {value}: {error!r}, changed: {changed}")
    assert problems == []


def of_the_users(error: Exception, given: dict[str, Any]) -> bool:
    """Whether a function that was given raised the error, or Python, where it was called with a wrong number
    of arguments."""
    frames = inspect.getinnerframes(error.__traceback__) if error.__traceback__ else []
    arity = isinstance(error, TypeError) and re.search(
        r"takes .* arguments? but|missing \d+ required|unexpected keyword", str(error)
    )
    called = any(map(callable, given.values()))
    return bool(arity and called) or bool(
        frames and Path(frames[-1].filename).parent == Path(__file__).parent
    )


# -- any values for any arguments ----------------------------------------------------------------------------


def test_random_calls(folder: Path, face: dict[str, Parameters]) -> None:
    """Any function, some of its arguments replaced by any values: an error of ours that changes nothing, or a
    result."""
    chance, worlds, problems = random.Random(0), Worlds(folder), []
    labels = [label for label, parameters in face.items() if parameters]
    refused = 0
    for _ in range(RANDOM_CALLS):
        label = chance.choice(labels)
        parameters = face[label]
        names = chance.sample(list(parameters), chance.randint(1, len(parameters)))
        drawn = {name: chance.choice(list(POOL)) for name in names}
        if label == "tg.diff" and "n" in drawn:
            drawn["n"] = "2"
        given = {name: POOL[value]() for name, value in drawn.items()}
        _, error, changed = worlds.call(label, parameters, given)
        refused += error is not None
        ours = isinstance(error, (tg.TinygradRNNError, MemoryError))
        if error is not None and (not ours or changed) and not of_the_users(error, given):
            problems.append(f"{label} {drawn}: {error!r:.300}, changed: {changed}")
    print(f"{RANDOM_CALLS} calls, {refused} of them refused, {len(problems)} wrongly")
    assert problems == []
    assert refused > RANDOM_CALLS / 2
