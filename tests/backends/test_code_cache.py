"""The folder of machine code: nothing is executed that this user did not write whole under that very name,
whatever is done to it."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

import platformdirs.macos
import platformdirs.unix
import pytest

import tinygrad_rnn as tg
from tinygrad_rnn.backends.native import code_cache

pytestmark = pytest.mark.one_backend

NAME, OTHER = "ab" * 32, "cd" * 32
CODE = bytes(range(50))
STRANGER = 54321
as_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0,
    reason="only root can act as another user; the same check is tried without root above",
)


@pytest.fixture
def tmp_path():
    """A folder for the test that other users may go through, as pytest's own is not."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the cache, which is not there yet; no warning has been said."""
    path = tmp_path / "cache"
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(path))
    monkeypatch.setattr(code_cache, "_warned", threading.Lock())
    return path


@pytest.fixture
def entry(folder):
    """An intact entry."""
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE
    return folder / f"{NAME}.o"


@contextlib.contextmanager
def acting_as_stranger():
    """A block in which the process is another user's, really."""
    os.setresuid(STRANGER, STRANGER, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def is_made_anew():
    """What is there is not executed, and a new entry takes its place."""
    assert code_cache.load(NAME) is None
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE


@contextlib.contextmanager
def one_warning(reason):
    """A block in which there is one warning: it says the folder, the reason and what to do."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        yield
    assert [warning.category for warning in told] == [tg.CacheWarning]
    for part in (code_cache._path(), reason, "set TINYGRAD_RNN_CACHE to a folder that is yours"):
        assert part in str(told[0].message)


def is_not_used(reason):
    """The folder is neither read nor written, and that is said."""
    with one_warning(reason):
        assert code_cache.load(NAME) is None
        code_cache.keep(OTHER, CODE)
        assert code_cache.load(OTHER) is None


# -- what is kept is taken, and nothing else -----------------------------------------------------------------


@pytest.mark.parametrize("by_path", [False, True], ids=["by descriptor", "by path"])
def test_what_is_kept_is_taken(folder, monkeypatch, by_path):
    monkeypatch.setattr(code_cache, "_FOLDERS_OPEN", not by_path)
    assert code_cache.load(NAME) is None
    for name, code in ((NAME, CODE), (OTHER, b""), (NAME, CODE * 2)):
        code_cache.keep(name, code)
        assert code_cache.load(name) == code
    assert sorted(path.name for path in folder.iterdir()) == [f"{NAME}.o", f"{OTHER}.o"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode")
@pytest.mark.parametrize("umask", [0o000, 0o002, 0o077])
def test_folder_and_entries_are_closed_to_others(folder, umask):
    before = os.umask(umask)
    try:
        code_cache.keep(NAME, CODE)
    finally:
        os.umask(before)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / f"{NAME}.o").stat().st_mode) == 0o600
    assert code_cache.load(NAME) == CODE


def test_any_changed_bit(entry):
    content = entry.read_bytes()
    for place in range(len(content)):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            entry.write_bytes(changed)
            assert code_cache.load(NAME) is None, (place, bit)
    is_made_anew()


def test_any_truncation_and_anything_appended(entry):
    content = entry.read_bytes()
    for length in range(len(content)):
        entry.write_bytes(content[:length])
        assert code_cache.load(NAME) is None, length
    for more in (b"\0", b"\n", content):
        entry.write_bytes(content + more)
        assert code_cache.load(NAME) is None
    is_made_anew()


def test_any_two_names_exchanged(folder):
    names = [f"{i:064x}" for i in range(5)]
    for i, name in enumerate(names):
        code_cache.keep(name, CODE[i:])
    intact = {name: (folder / f"{name}.o").read_bytes() for name in names}
    for name in names:
        for other in names:
            (folder / f"{name}.o").write_bytes(intact[other])
            assert code_cache.load(name) == (CODE[names.index(name) :] if other == name else None)
        (folder / f"{name}.o").write_bytes(intact[name])


def _planted(path, make):
    path.unlink()
    make(path)


ENTRIES = {
    "empty": lambda path: path.write_bytes(b""),
    "of the format before": lambda path: path.write_bytes(b"tgr1" + b"\0" * 4 + CODE),
    "foreign": lambda path: path.write_bytes(b"\x7fELF" * 1000),
    "a link to an intact one": lambda path: (path.rename(path.with_name("aside")), path.symlink_to("aside")),
    "a link to nothing": lambda path: _planted(path, lambda path: path.symlink_to("nothing")),
    "a link to itself": lambda path: _planted(path, lambda path: path.symlink_to(path)),
    "a pipe": lambda path: _planted(path, os.mkfifo),
    "open to the group": lambda path: path.chmod(0o620),
    "open to all": lambda path: path.chmod(0o602),
    "larger than the whole cache": lambda path: os.truncate(path, code_cache.MOST_BYTES + 1),
}


@pytest.mark.skipif(os.name == "nt", reason="modes, links and pipes of POSIX")
@pytest.mark.parametrize("make", ENTRIES.values(), ids=ENTRIES)
def test_hostile_entries(entry, make):
    make(entry)
    is_made_anew()
    assert stat.S_ISREG(entry.lstat().st_mode)


@as_root
def test_an_entry_of_another_user(entry):
    os.chown(entry, STRANGER, -1)
    is_made_anew()
    assert entry.stat().st_uid == 0


@as_root
def test_a_device_in_the_place_of_an_entry(entry):
    entry.unlink()
    try:
        os.mknod(entry, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("this container lets not even root make devices")
    is_made_anew()


def test_a_folder_in_the_place_of_an_entry_is_left_and_told(entry):
    entry.unlink()
    entry.mkdir()
    assert code_cache.load(NAME) is None
    with pytest.warns(tg.CacheWarning, match=NAME):
        code_cache.keep(NAME, CODE)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


def test_entries_that_vanish_while_they_are_looked_through(entry, monkeypatch):
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda place: [*listed(place), f"{OTHER}.o", f".{OTHER}.o.{'0' * 8}"])
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE


# -- the folder ----------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode")
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o770, 0o777, 0o1777])
def test_a_folder_that_others_may_write_into(entry, mode):
    entry.parent.chmod(mode)
    is_not_used(f"others may write into it (its mode is {mode:o}; chmod 700 would close it)")
    # it may be shared on purpose: nobody's mode is changed
    assert stat.S_IMODE(entry.parent.stat().st_mode) == mode
    entry.parent.chmod(0o700)
    assert code_cache.load(NAME) == CODE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode")
def test_a_folder_that_others_may_read(entry):
    entry.parent.chmod(0o755)
    assert code_cache.load(NAME) == CODE


def test_a_folder_of_another_user(entry, monkeypatch):
    """As that user sees it, so it needs no root."""
    monkeypatch.setattr(os, "geteuid", lambda: STRANGER, raising=False)
    is_not_used(f"it belongs to user {entry.stat().st_uid}, and this is user {STRANGER}")


@as_root
@pytest.mark.parametrize("by_link", [False, True], ids=["itself", "behind a link"])
def test_a_folder_planted_by_another_user(tmp_path, folder, by_link):
    """What he planted is whole, and named rightly. Before, it was executed."""
    place = tmp_path / "theirs" if by_link else folder
    place.mkdir()
    os.chown(place, STRANGER, -1)
    with acting_as_stranger(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYGRAD_RNN_CACHE", str(place))
        code_cache.keep(NAME, CODE)
        assert code_cache.load(NAME) == CODE
    if by_link:
        folder.symlink_to(place)
    is_not_used(f"it belongs to user {STRANGER}, and this is user 0")


@as_root
def test_a_folder_of_root_is_another_users_too(entry):
    entry.parent.chmod(0o755)
    with acting_as_stranger():
        is_not_used(f"it belongs to user 0, and this is user {STRANGER}")


@as_root
def test_a_folder_that_can_only_be_read(folder):
    """What is in it is taken; that nothing can be added is said once."""
    folder.mkdir()
    os.chown(folder, STRANGER, -1)
    with acting_as_stranger():
        code_cache.keep(NAME, CODE)
        folder.chmod(0o500)
        assert code_cache.load(NAME) == CODE
        with one_warning("Permission denied"):
            for _ in range(3):
                code_cache.keep(OTHER, CODE)
        assert code_cache.load(NAME) == CODE


@as_root
def test_an_entry_that_its_owner_may_not_read(folder):
    folder.mkdir()
    os.chown(folder, STRANGER, -1)
    with acting_as_stranger():
        code_cache.keep(NAME, CODE)
        (folder / f"{NAME}.o").chmod(0)
        is_made_anew()


@as_root
@pytest.mark.parametrize(
    "home", [None, "/", "/nowhere/at/all", ""], ids=["none", "root's", "not there", "empty"]
)
@pytest.mark.usefixtures("folder")
def test_a_user_without_a_name_or_a_home(tmp_path, monkeypatch, home):
    """As in containers that run under any number."""
    for name in ("TINYGRAD_RNN_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    if home is not None:
        monkeypatch.setenv("HOME", home)
    (tmp_path / "here").mkdir()
    (tmp_path / "here").chmod(0o777)
    monkeypatch.chdir(tmp_path / "here")
    with acting_as_stranger():
        is_not_used("Permission denied" if home else "no home folder")
    assert not list((tmp_path / "here").iterdir())


def test_a_file_in_the_place_of_the_folder(folder):
    folder.write_text("")
    is_not_used(str(folder))
    assert folder.read_text() == ""


def test_a_file_on_the_way_to_the_folder(folder, monkeypatch):
    folder.write_text("")
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(folder / "inside"))
    is_not_used(str(folder / "inside"))


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_pipe_in_the_place_of_the_folder(folder):
    os.mkfifo(folder)
    is_not_used(str(folder))


def test_a_name_that_is_too_long(folder, monkeypatch):
    monkeypatch.setenv("TINYGRAD_RNN_CACHE", str(folder / ("x" * 5000)))
    is_not_used("too long")


def test_a_link_to_a_folder_of_ones_own(folder, tmp_path):
    (tmp_path / "disk").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "disk")
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
def test_a_full_disk(folder):
    """The nearest that a test can have: no file may be longer than 10 bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        with one_warning("File too large"):
            for _ in range(3):
                code_cache.keep(NAME, CODE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(folder.iterdir())
    is_made_anew()


@pytest.fixture
def home(monkeypatch, tmp_path):
    """A home folder; nothing else says where caches are."""
    for name in ("TINYGRAD_RNN_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.skipif(os.name == "nt", reason="homes of POSIX")
@pytest.mark.parametrize(
    ("system", "path"),
    [
        (platformdirs.unix.Unix, ".cache/tinygrad_rnn"),
        (platformdirs.macos.MacOS, "Library/Caches/tinygrad_rnn"),
    ],
    ids=["Linux", "macOS"],
)
def test_where_the_folder_is(system, path, home, monkeypatch):
    monkeypatch.setattr(platformdirs, "PlatformDirs", system)
    assert code_cache._path() == str(home / path)


def test_where_the_folder_is_by_what_is_said(home, monkeypatch, tmp_path):
    default = code_cache._path()
    for chosen, path in (
        ("", default),
        (str(tmp_path / "mine"), str(tmp_path / "mine")),
        ("~/mine", str(home / "mine")),
        ("mine", "mine"),
    ):
        monkeypatch.setenv("TINYGRAD_RNN_CACHE", chosen)
        assert code_cache._path() == path
    monkeypatch.chdir(tmp_path)
    code_cache.keep(NAME, CODE)
    assert code_cache.load(NAME) == CODE
    assert (tmp_path / "mine").is_dir()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no XDG folders")
def test_a_folder_of_caches_that_is_said(home, monkeypatch, tmp_path):
    default = code_cache._path()
    for caches, path in (
        ("", default),
        ("relative", default),
        (str(tmp_path), str(tmp_path / "tinygrad_rnn")),
    ):
        monkeypatch.setenv("XDG_CACHE_HOME", caches)
        assert code_cache._path() == path


def test_the_folder_is_exchanged_after_the_check(entry, tmp_path):
    """Files are those of the folder that was checked, not of the path."""
    with code_cache._opened() as folder:
        entry.parent.rename(tmp_path / "aside")
        entry.parent.mkdir(0o777)
        entry.write_bytes(b"planted")
        assert code_cache._code(folder, NAME) == CODE
        code_cache._write(folder, f"{OTHER}.o", code_cache._seal(OTHER, CODE) + CODE)
    assert {path.name for path in (tmp_path / "aside").iterdir()} == {f"{NAME}.o", f"{OTHER}.o"}


def test_one_warning_in_a_process(folder):
    folder.write_text("")
    with one_warning(str(folder)):
        threads = [threading.Thread(target=code_cache.keep, args=(NAME, CODE)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def test_without_owners_and_modes(folder, monkeypatch):
    """As on Windows: the digest is checked, and nothing breaks."""
    monkeypatch.delattr(os, "geteuid", raising=False)
    monkeypatch.setattr(code_cache, "_FOLDERS_OPEN", False)
    code_cache.keep(NAME, CODE)
    (folder / f"{OTHER}.o").write_bytes((folder / f"{NAME}.o").read_bytes())
    assert code_cache.load(NAME) == CODE
    assert code_cache.load(OTHER) is None


def test_an_entry_that_another_process_reads_is_not_replaced(entry, monkeypatch):
    """As on Windows: it is the same code, and no matter. Where there is none, something else is wrong."""

    def refuse(*arguments, **options):
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", refuse)
    code_cache.keep(NAME, CODE)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]
    entry.write_bytes(b"half")
    with one_warning("Access is denied"):
        code_cache.keep(NAME, CODE)
    assert [path.name for path in entry.parent.iterdir()] == [entry.name]


# -- bounds --------------------------------------------------------------------------------------------------


def _age(folder, name, seconds):
    moment = time.time() - seconds
    os.utime(folder / name, (moment, moment))


def _kept(folder, names):
    return [name for name in names if (folder / f"{name}.o").exists()]


@pytest.mark.parametrize(
    "bound", [("MOST_ENTRIES", 4), ("MOST_BYTES", 4 * len(code_cache._seal(NAME, CODE) + CODE))]
)
def test_the_least_recently_used_go_first(folder, monkeypatch, bound):
    monkeypatch.setattr(code_cache, *bound)
    names = [f"{i:064x}" for i in range(7)]
    for i, name in enumerate(names[:4]):
        code_cache.keep(name, CODE)
        _age(folder, f"{name}.o", 1000 - i)
    assert code_cache.load(names[0]) == CODE  # used now
    for name in names[4:6]:
        code_cache.keep(name, CODE)
    assert _kept(folder, names) == [names[0], names[3], names[4], names[5]]
    for name in (names[6], names[6]):  # replaced, not added
        code_cache.keep(name, CODE)
    assert _kept(folder, names) == [names[0], names[4], names[5], names[6]]


def test_files_of_others_are_left_alone(folder, monkeypatch):
    monkeypatch.setattr(code_cache, "MOST_ENTRIES", 1)
    folder.mkdir(mode=0o700)
    theirs = ["notes.txt", "module.o", f"{NAME}.o.bak", f".{NAME}", f"x{NAME}.o", f"{NAME.upper()}.o"]
    for name in theirs:
        (folder / name).write_text("")
        _age(folder, name, 1e6)
    code_cache.keep(NAME, CODE)
    code_cache.keep(OTHER, CODE)
    assert {path.name for path in folder.iterdir()} == {*theirs, f"{OTHER}.o"}


# -- processes -----------------------------------------------------------------------------------------------

_SCRIPT = """
import sys
from tinygrad_rnn.backends.native import code_cache
code_cache.MOST_ENTRIES = int(sys.argv[1])
names = [f"{i:064x}" for i in range(40)]
print("begun", flush=True)
for round in range(int(sys.argv[2])):
    for i, name in enumerate(names):
        code = name.encode() * (1000 + i)
        assert code_cache.load(name) in (None, code)
        code_cache.keep(name, code)
"""


def _process(folder, *arguments):
    environment = os.environ | {
        "TINYGRAD_RNN_CACHE": str(folder),
        "PYTHONPATH": str(Path(tg.__file__).parents[1]),
    }
    command = [sys.executable, "-W", "error", "-c", _SCRIPT, *map(str, arguments)]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_processes_at_once(folder):
    """They read, replace and remove the same entries; each finds its own or nothing."""
    running = [_process(folder, 15, 6) for _ in range(3)]
    for process in running:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    entries = list(folder.iterdir())
    assert 10 <= len(entries) <= 15
    assert all(
        code_cache.load(path.stem) == path.stem.encode() * (1000 + int(path.stem, 16)) for path in entries
    )


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_a_process_that_is_killed_while_it_writes(folder):
    for moment in (0.01, 0.02, 0.03, 0.05, 0.07, 0.1):
        process = _process(folder, 100, 100000)
        assert process.stdout.readline() == "begun\n"
        time.sleep(moment)
        process.kill()
        process.communicate(timeout=60)
    entries = [path for path in folder.iterdir() if not path.name.startswith(".")]
    assert entries
    assert all(code_cache.load(path.stem) is not None for path in entries)


def test_what_a_killed_process_left_is_removed_in_the_end(folder):
    code_cache.keep(NAME, CODE)
    left, writing = (folder / f".{OTHER}.o.{digits}" for digits in ("0123abcd", "89abcdef"))
    for path in (left, writing):
        path.write_bytes(b"half")
    _age(folder, left.name, 2 * code_cache._ABANDONED)
    code_cache.keep(NAME, CODE)
    assert not left.exists()
    assert writing.exists()
