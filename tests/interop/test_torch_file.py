"""PyTorch's files: what it wrote comes in, nothing of a file is run, and a damaged file is told."""

from __future__ import annotations

import io
import os
import pickle
import re
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_rnn as tg
from tests.interop.arrays import ARRAYS
from tests.interop.fixtures import FOLDER
from tests.interop.fixtures.torch_files import values
from tinygrad_rnn.interop import torch

WAYS = [f"{kind}-{protocol}.pt" for kind in ("zip", "old") for protocol in (2, 3, 4, 5)]
ways = pytest.mark.parametrize("way", WAYS)


@ways
def test_pytorchs_tensors(way):
    found, expected = torch.load(FOLDER / f"tensors-{way}"), values()
    assert found.keys() == expected.keys()
    assert found.metadata == {}
    for name, array in expected.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name].numpy(), array)


@ways
def test_a_larger_checkpoint_of_pytorchs(way):
    """A model and Adam after one step of lr 0.5 with the gradient 1: all weights are 0.5 lower, m is 0.1."""
    found = torch.load(FOLDER / f"nested-{way}")
    assert found.part("epoch") == 7
    assert found.part("rates") == [0.5, None, True, -(2**40), "é"]
    assert found.part("size") == [2, 3]
    assert found.part("device") == "cuda:1"
    layer = tg.nn.Linear(2, 3)
    layer.load_state_dict(found.part("model"))
    np.testing.assert_array_equal(layer.weight.numpy(), found["model.weight"].numpy())
    adam = found.part("optimizer")
    assert adam["param_groups"][0]["lr"] == 0.5
    np.testing.assert_allclose(adam["state"]["0"]["exp_avg"].numpy(), np.full((3, 2), 0.1), rtol=1e-6)
    assert found["parameter"].tolist() == [1.0, 1.0]


def test_what_is_no_weights_is_named():
    with pytest.raises(tg.CheckpointError, match=r"torch\.nn\.modules\.rnn\.LSTM.*save model\.state_dict"):
        torch.load(FOLDER / "whole-module.pt")
    with pytest.raises(tg.CheckpointError, match=r"torch\.BFloat16Storage, which tensors lack"):
        torch.load(FOLDER / "bfloat16.pt")
    with pytest.raises(tg.CheckpointError, match=r"torch\.float8_e5m2, which tensors lack"):
        torch.load(FOLDER / "float8.pt")


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "a.pt"
    arrays = ARRAYS | {kind: np.arange(3).astype(kind) for kind in ("uint16", "uint32", "uint64", "int8")}
    torch.save(path, arrays)
    found = torch.load(path)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name].numpy(), array)


def test_parts_are_written_and_read(tmp_path):
    layer, path = tg.nn.GRU(2, 3), tmp_path / "a.pt"
    state = {"model": layer, "n": -7, "big": -(2**70), "rate": 0.5, "list": [1, None, False, "x", np.ones(2)]}
    torch.save(path, state)
    found = torch.load(path)
    assert [found.part(name) for name in ("n", "big", "rate")] == [-7, -(2**70), 0.5]
    assert found.part("list")[:4] == [1, None, False, "x"]
    tg.nn.GRU(2, 3).load_state_dict(found.part("model"))


def test_the_same_weights_are_the_same_file(tmp_path):
    for name in "ab":
        torch.save(tmp_path / name, {"w": np.ones(2)})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    "source", [3, [np.ones(2)], {1: np.ones(2)}, {"a": "text"}, {"a": object()}, {"a": {"b": 10**700}}]
)
def test_what_cannot_be_written_leaves_nothing(source, tmp_path):
    with pytest.raises(tg.CheckpointError, match="save:"):
        torch.save(tmp_path / "a.pt", source)
    assert not list(tmp_path.iterdir())


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def as_zip(program, **parts):
    """PyTorch's archive around a program."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in {"data.pkl": program, "version": b"3\n", **parts}.items():
            archive.writestr(f"archive/{name}", part)
    return content.getvalue()


MAGIC = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
FRAMES = {"zip": as_zip, "old": lambda program: MAGIC + program + pickle.dumps([], 2), "bare": lambda p: p}


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("protocol", range(2, 6))
def test_a_file_with_code_is_named_and_not_run(frame, protocol, tmp_path):
    harm = str(tmp_path / "harm")
    for value in (Harmful(harm), {"w": [Harmful(harm)]}, OrderedDict(w=Harmful(harm))):
        path = tmp_path / "a.pt"
        path.write_bytes(FRAMES[frame](pickle.dumps(value, protocol)))
        with pytest.raises(tg.CheckpointError, match=r"would run code: it needs (posix|nt)\.mkdir\."):
            torch.load(path)
        assert not os.path.exists(harm)


PROGRAMS = {
    "a name by its opcode": (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", r"os\.system"),
    "a name of a known module": (b"\x80\x02ctorch\nload\n.", r"torch\.load"),
    "a name inside a known one": (b"\x80\x02ctorch.hub\nload\n.", r"torch\.hub\.load"),
    "an attribute of a known name": (
        b"\x80\x04\x8c\x0bcollections\x8c\x10OrderedDict.copy\x93.",
        "OrderedDict.copy",
    ),
    "a class instead of a function": (b"\x80\x02cos\nsystem\n)\x81.", r"os\.system"),
    "an object's attributes": (b"\x80\x02K\x01}b.", "attributes of a value"),
    "a call of a value": (b"\x80\x02K\x01)R.", "a call of a value"),
    "INST": (b"\x80\x02(ios\nsystem\n.", "opcode b'i'"),
    "OBJ": (b"\x80\x02(cos\nsystem\no.", "opcode b'o'"),
    "EXT1": (b"\x80\x02\x82\x01.", "opcode"),
    "a list": (b"\x80\x02].", "no dict of tensors"),
    "a number": (b"\x80\x02K\x01.", "no dict of tensors"),
    "a storage as a value": (b"\x80\x02}X\x01\0\0\0ac" + b"torch\nFloatStorage\ns.", "'a'.*no tensor"),
    "a key that is no word": (b"\x80\x02}K\x01\x85K\x01s.", "only words"),
    "two names alike": (b"\x80\x02}(K\x01K\x02X\x01\0\0\x001K\x03u.", "only words"),
    "bytes": (b"\x80\x03}X\x01\0\0\0aC\x01zs.", "opcode b'C'"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_other_programs(name, tmp_path):
    program, said = PROGRAMS[name]
    path = tmp_path / "a.pt"
    path.write_bytes(as_zip(program))
    with pytest.raises(tg.CheckpointError, match=said):
        torch.load(path)


DEEP = b")" + b"\x85" * 300_000
"""A tuple in a tuple in a tuple."""

WIDE = b"K\x01" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))
"""A tuple of two, each of which is the tuple before: as text it has no end."""


def called(name, given):
    """A call of a known name."""
    return b"\x80\x02}X\x01\0\0\0ac" + name + b"\n(" + given + b"tRs."


STORAGE = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"


DAMAGED = {
    "nothing on the stack": b"\x80\x02.",
    "two things": b"\x80\x02NN.",
    "no mark": b"\x80\x02NNu.",
    "items without a dict": b"\x80\x02](K\x01K\x02u.",
    "an element without a list": b"\x80\x02}K\x01a.",
    "an odd item": b"\x80\x02}(K\x01u.",
    "no such memory": b"\x80\x02h\x07.",
    "a list as a key": b"\x80\x02}]K\x01s.",
    "a word that is longer than the file": b"\x80\x02X\xff\xff\xff\x7fabc.",
    "a word that no memory holds": b"\x80\x04\x8d" + b"\xff" * 8 + b".",
    "no end": b"\x80\x02}",
    "no end of a line": b"\x80\x02ctorch",
    "half a character": b"\x80\x02X\x01\0\0\0\xff.",
    "a dict in itself": b"\x80\x02}q\0X\x01\0\0\0ah\0s.",
    "a list in itself": b"\x80\x02}X\x01\0\0\0a]q\0h\0as.",
    "a storage of no kind": b"\x80\x02(X\x07\0\0\0storageK\x01K\x01K\x01K\x01tQ.",
    "a tensor without a storage": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00)))R.",
    "a tuple as a key": b"\x80\x02}" + DEEP + b"K\x01s.",
    "a tuple among many keys": b"\x80\x02}(" + DEEP + b"K\x01u.",
    "a tuple as a key of an ordered dict": called(b"collections\nOrderedDict", b"]" + DEEP + b"K\x01\x86a"),
    "a wide tuple as a key": b"\x80\x02}" + WIDE + b"K\x01s.",
    "a wide tuple as a key of an ordered dict": called(
        b"collections\nOrderedDict", b"]" + WIDE + b"K\x01\x86a"
    ),
    "a device that is no word": called(b"torch\ndevice", WIDE),
    "a device without a number": called(b"torch\ndevice", b"X\x03\0\0\0cpu" + WIDE),
    "a dtype that is none": called(b"torch._utils\n_rebuild_tensor_v3", STORAGE + b"K\0))\x89N" + WIDE),
    "a deep dtype": called(b"torch._utils\n_rebuild_tensor_v3", STORAGE + b"K\0))\x89N" + DEEP),
    "a name without an end": b"\x80\x02c" + b"a" * 5000 + b"\nb\n.",
    "a name of a tuple": b"\x80\x04" + WIDE + b"X\x01\0\0\0a\x93.",
    "a long list in very many dicts": b"\x80\x02]q\0("
    + b"X\x01\0\0\0aN\x86" * 3000
    + b"e0]("
    + b"ccollections\nOrderedDict\n(h\0tR" * 3000
    + b"e.",
    "deep lists": b"\x80\x02}X\x01\0\0\0a" + b"]" * 200 + b"a" * 199 + b"s.",
    "very many places": b"\x80\x02}X\x01\0\0\0a]q\0"
    + b"".join(b"](h%ch%ceq%c" % (i, i, i + 1) for i in range(60))
    + b"s.",
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_programs(name, tmp_path):
    path = tmp_path / "a.pt"
    for content in (as_zip(DAMAGED[name]), DAMAGED[name]):
        path.write_bytes(content)
        with pytest.raises(tg.CheckpointError, match=r"not a whole PyTorch file|pickle of another program"):
            torch.load(path)


def test_what_an_error_shows_of_a_file_is_short(tmp_path):
    """PyTorch's notes on a view, here a tuple that has no end as text."""
    path = tmp_path / "a.pt"
    path.write_bytes(as_zip(called(b"torch._utils\n_rebuild_tensor_v2", STORAGE + b"K\0))\x89N" + WIDE)))
    with pytest.raises(tg.CheckpointError, match="a view that PyTorch computes with") as caught:
        torch.load(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("names", [DEEP, WIDE])
def test_the_list_of_storages_of_an_old_file(names, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(MAGIC + b"\x80\x02}." + b"\x80\x02" + names + b"\x85.")
    with pytest.raises(tg.CheckpointError, match="the name of a storage is no word"):
        torch.load(path)


def tensor_program(count, offset, shape, strides):
    """A dict of one tensor as PyTorch describes it."""

    def number(n):
        return b"\x8a\x09" + n.to_bytes(9, "little", signed=True)

    def numbers(ns):
        return b"(" + b"".join(map(number, ns)) + b"t"

    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu" + number(count) + b"tQ"
    rest = b"\x89ccollections\nOrderedDict\n)RtR"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + number(offset)
    return b"\x80\x02}X\x01\0\0\0a" + tensor + numbers(shape) + numbers(strides) + rest + b"s."


@pytest.mark.parametrize(
    ("count", "offset", "shape", "strides"),
    [
        (4, 0, (5,), (1,)),
        (4, 4, (1,), (1,)),
        (4, -1, (2,), (1,)),
        (4, 0, (2,), (-1,)),
        (4, 0, (-2,), (1,)),
        (4, 0, (2, 2), (3, 1)),
        (4, 0, (2, 2), (1,)),
        (4, 0, (2**62,), (2**62,)),
        (5, 0, (4,), (1,)),
        (3, 0, (3,), (1,)),
        (4, 0, (1,) * 70, (1,) * 70),
    ],
)
def test_a_tensor_outside_of_its_storage(count, offset, shape, strides, tmp_path):
    path = tmp_path / "a.pt"
    path.write_bytes(as_zip(tensor_program(4, 1, (2,), (2,)), **{"data/0": bytes(16)}))
    assert torch.load(path)["a"].tolist() == [0.0, 0.0]
    path.write_bytes(as_zip(tensor_program(count, offset, shape, strides), **{"data/0": bytes(16)}))
    with pytest.raises(tg.CheckpointError, match=r"not a whole PyTorch file|claims to hold"):
        torch.load(path)


def test_small_files_that_would_fill_the_memory(tmp_path):
    """Zeros that were packed, and one number at a great many places."""
    path = tmp_path / "a.pt"
    count = 50_000_000
    packed = as_zip(tensor_program(count, 0, (count,), (1,)), **{"data/0": bytes(4 * count)})
    spread = as_zip(tensor_program(4, 0, (2**40,), (0,)), **{"data/0": bytes(16)})
    for content in (packed, spread):
        assert len(content) < 300_000
        path.write_bytes(content)
        with pytest.raises(tg.CheckpointError, match=r"claims to hold [\d,]+ bytes"):
            torch.load(path)


@pytest.mark.parametrize("name", ["nested-zip-2.pt", "nested-old-2.pt"])
def test_a_file_that_was_cut_short(name, tmp_path):
    content, path = (FOLDER / name).read_bytes(), tmp_path / "a.pt"
    for kept in range(0, len(content), 7):
        path.write_bytes(content[:kept])
        with pytest.raises(tg.CheckpointError, match=r"not a whole PyTorch file|another program"):
            torch.load(path)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(WAYS), st.integers(0, 4000), st.binary(min_size=1, max_size=3))
def test_a_file_with_other_bytes_is_read_or_refused(tmp_path_factory, way, place, other):
    content = bytearray((FOLDER / f"nested-{way}").read_bytes())
    place %= len(content)
    content[place : place + len(other)] = other
    path = tmp_path_factory.getbasetemp() / "other.pt"
    path.write_bytes(content)
    try:
        torch.load(path)
    except tg.CheckpointError as error:
        assert re.search("other.pt", str(error))  # noqa: PT017


def test_other_archives_are_named(tmp_path):
    path = tmp_path / "a.pt"
    np.savez(tmp_path / "a.npz", w=np.ones(2))
    (tmp_path / "a.npz").rename(path)
    with pytest.raises(tg.CheckpointError, match=r"none of PyTorch's: it has no data\.pkl"):
        torch.load(path)
    path.write_bytes(as_zip(b"\x80\x02}.", **{"constants.pkl": b"\x80\x02)."}))
    with pytest.raises(tg.CheckpointError, match="TorchScript program"):
        torch.load(path)


def test_what_is_not_there(tmp_path):
    for path, said in ((tmp_path / "a.pt", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(tg.CheckpointError, match=said):
            torch.load(path)


def test_no_module_of_pytorchs():
    for thing in (3, tg.nn.Linear(2, 3), "LSTM", tg.nn.Linear):
        with pytest.raises(tg.ArgumentError, match=r"must be a torch\.nn\.Module"):
            torch.from_module(thing)
