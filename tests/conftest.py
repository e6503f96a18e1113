"""What every test runs under: a backend, strict floating point, a seed, and a check that it leaves no switch
flipped.

A test runs on NumPy; one that concerns devices is marked ``both_backends`` and runs on the stand-in for CuPy
too. With ``--backend=cupy`` every test runs on the stand-in but those that are about this processor
(``machine_code``) or choose their backends themselves (``numpy_only``); with ``--backend=cupy --device`` on a
real device. Of the combinations of a test's parameters those run that ``covering.py`` chooses; with
``--every`` all do.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy
import pytest

import tinygrad_rnn as tg
from tests import covering, strict_cupy
from tinygrad_rnn import backends, state, tape
from tinygrad_rnn.backends.native import code_cache, compiler

BACKENDS = ("numpy", "cupy")

hypothesis.settings.register_profile("no clock", deadline=None)  # a busy machine takes longer
hypothesis.settings.load_profile("no clock")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    both = metafunc.definition.get_closest_marker("both_backends") is not None
    if both and metafunc.config.getoption("backend") is None:
        metafunc.parametrize("backend", BACKENDS, indirect=True)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--every",
        action="store_true",
        help="run every combination of parameters and every seed, not only those that cover all pairs",
    )
    parser.addoption(
        "--once",
        action="store_true",
        help="run one combination of parameters of each test: what coverage is measured by",
    )
    parser.addoption(
        "--backend", choices=BACKENDS, help="the backend of every test that does not choose its own"
    )
    parser.addoption(
        "--device", action="store_true", help="the CuPy that is installed, on its device, for the stand-in"
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    if "chromium" in getattr(item, "fixturenames", ()):
        item.add_marker("browser")


@pytest.hookimpl(trylast=True)  # of what -m and -k leave
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = items if config.getoption("every") else covering.daily(items)
    if config.getoption("device"):  # what the stand-in counts, nobody counts there
        of_standin = {"device", "standin"}
        chosen = [item for item in chosen if of_standin.isdisjoint(getattr(item, "fixturenames", ()))]
    chosen = covering.once(chosen) if config.getoption("once") else chosen
    if len(chosen) < len(items):
        left_out = {*items}.difference(chosen)
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = chosen
    if not compiler.available():
        for item in items:
            if item.get_closest_marker("machine_code") is not None:
                item.add_marker(pytest.mark.skip(reason="llvmlite is not installed"))


@pytest.fixture(scope="session", autouse=True)
def _compiled_code(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Kernels and machine code stay with what pytest keeps (``--cache-clear`` deletes it), for all workers
    and later runs: they are called by what they are made from, machine code also by the text of the compiler,
    and so never stale. There is more of it than a user has."""
    cache = getattr(request.config, "cache", None)
    folder = cache.mkdir if cache else tmp_path_factory.mktemp
    strict_cupy.RawKernel.libraries = folder("kernels")
    made_by = hashlib.sha256(Path(compiler.__file__).read_bytes()).hexdigest()[:16]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_RNN_CACHE", str(folder(f"code-{made_by}")))
        patch.setattr(code_cache, "MOST_ENTRIES", 20_000)
        patch.setattr(code_cache, "MOST_BYTES", 1 << 30)
        yield


def _backend_of(item: pytest.Item) -> str:
    stays = any(item.get_closest_marker(name) is not None for name in ("machine_code", "numpy_only"))
    return "numpy" if stays else item.config.getoption("backend") or "numpy"


@pytest.fixture(autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of the backend that the test runs on; new tensors are made there."""
    name = getattr(request, "param", None) or _backend_of(request.node)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("TINYGRAD_RNN_BACKEND", raising=False)
        patch.setattr(backends, "_loaded", {"numpy": backends.get("numpy")})
        patch.setattr(backends, "_process_backend", None)
        if name == "cupy":
            if not request.config.getoption("device"):
                strict_cupy.install(patch)
            tg.set_backend("cupy")
        yield name


@pytest.fixture(autouse=True)
def no_switch_stays_flipped(backend: str) -> Iterator[None]:
    before = state.switches()
    yield
    after = state.switches()
    tape.thread.recording, tape.thread.scope, tape.thread.tracing, tape.host.default_dtype = (
        True,
        None,
        None,
        numpy.dtype("float32"),
    )
    backends._blocks.set(None)
    flipped = [
        f"{name}: {before[name]} became {after[name]}" for name in before if after[name] is not before[name]
    ]
    assert not flipped, f"the test left switches flipped: {'; '.join(flipped)}"


@pytest.fixture(autouse=True)
def strict_numbers() -> Iterator[None]:
    with numpy.errstate(over="raise", divide="raise", invalid="raise", under="ignore"):
        yield


@pytest.fixture(autouse=True)
def _seeded() -> None:
    tg.random.seed(0)


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> numpy.random.Generator:
    """A generator of its own for each test, the same on both backends."""
    return numpy.random.default_rng(zlib.crc32(request.function.__qualname__.encode()))


@pytest.fixture
def device() -> strict_cupy.Counts:
    """What the stand-in device has done since the test began."""
    strict_cupy.counts.reset()
    return strict_cupy.counts
