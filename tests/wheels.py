"""What users install: ``python -m tests --wheels 4`` builds sdist and wheel, looks at what is in them,
installs both on each Python that is found, and tries them; it fails if these are fewer than four versions.

Each goes into an environment of its own, with NumPy, the compiler and nothing else. The versions are those
that the project says it runs on.
"""

from __future__ import annotations

import concurrent.futures
import email
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
ASK = "import sys; print(sys.implementation.name, '.'.join(map(str, sys.version_info[:2])), sys.executable)"


def run(*command: str | Path, cwd: Path | None = None, cache: Path | None = None) -> str:
    """What a command says.

    Raises:
        SystemExit: it failed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if cache is not None:
        environment["TINYGRAD_RNN_CACHE"] = str(cache)
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        sys.exit(f"{shlex.join(map(str, command))} failed with exit status {done.returncode}:\n{done.stdout}")
    return done.stdout.strip()


# -- what is built -------------------------------------------------------------------------------------------


def build(into: Path) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    run(sys.executable, "-m", "build", "--outdir", into, cwd=HERE.parent)
    (sdist,), (wheel,) = into.glob("*.tar.gz"), into.glob("*.whl")
    print(run(sys.executable, "-m", "twine", "check", "--strict", sdist, wheel), flush=True)
    return sdist, wheel


def junk(sdist: Path, wheel: Path) -> list[str]:
    """Files that do not belong into what was built, or are missing there."""
    tracked = set(run("git", "ls-files", cwd=HERE.parent).splitlines())
    package = {name for name in tracked if name.startswith("tinygrad_rnn/")}
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames() if archive.getmember(name).isfile()}
    with zipfile.ZipFile(wheel) as zipped:
        installed = {name for name in zipped.namelist() if ".dist-info/" not in name}
    return [
        *(f"{sdist.name} has {name}" for name in sorted(sources - tracked - {"PKG-INFO"})),
        *(f"{sdist.name} lacks {name}" for name in sorted(package - sources)),
        *(f"{wheel.name} has {name}" for name in sorted(installed - package)),
        *(f"{wheel.name} lacks {name}" for name in sorted(package - installed)),
    ]


# -- where it is tried ---------------------------------------------------------------------------------------


def versions(wheel: Path) -> list[str]:
    """Of Python, as the project says it runs on them."""
    with zipfile.ZipFile(wheel) as zipped:
        (name,) = (name for name in zipped.namelist() if name.endswith(".dist-info/METADATA"))
        said = email.message_from_bytes(zipped.read(name)).get_all("Classifier", [])
    return [match[1] for line in said if (match := re.fullmatch(r"Programming .* (3\.\d+)", line))]


def commands(version: str) -> Iterator[list[str | Path]]:
    """That may start such a Python."""
    yield [sys.executable]
    yield [f"python{version}"]
    yield ["py", f"-{version}"]
    root = Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser()
    yield from ([path / "bin" / "python"] for path in sorted(root.glob(f"versions/{version}.*")))


def found(version: str) -> Path | None:
    """A CPython of that version."""
    for command in commands(version):
        try:
            done = subprocess.run([*command, "-c", ASK], capture_output=True, text=True)
        except OSError:  # there is no such command
            continue
        if done.stdout.startswith(f"cpython {version} "):
            return Path(done.stdout.strip().split(" ", 2)[2])
    return None


def tried(python: Path, built: Path, folder: Path) -> str:
    """Install a file, with the compiler, in a fresh environment, and use it."""
    began = time.monotonic()
    run(python, "-m", "venv", "--without-pip", folder)
    inside = folder / SCRIPTS / "python"
    pip = (sys.executable, "-m", "pip", "--python", inside, "--disable-pip-version-check")
    wheels = ("--prefer-binary", "--only-binary", "numpy,llvmlite", "--no-compile")
    run(*pip, "install", "-q", *wheels, f"{built}[fast]")
    said = run(inside, "-I", "-W", "error", HERE / "installed.py", cwd=folder, cache=folder / "code")
    if "usage: tinygrad-rnn" not in run(folder / SCRIPTS / "tinygrad-rnn", "--help", cwd=folder):
        sys.exit(f"{folder}: tinygrad-rnn --help says something else")
    return f"{said}, {time.monotonic() - began:.0f} s"


def main(least: int) -> None:
    with tempfile.TemporaryDirectory() as name, concurrent.futures.ThreadPoolExecutor(2) as both:
        folder = Path(name).resolve()
        sdist, wheel = build(folder)
        problems = junk(sdist, wheel)
        if problems:
            sys.exit("\n".join(problems))
        pythons = {version: path for version in versions(wheel) if (path := found(version))}
        waiting = {
            (version, kind): both.submit(tried, path, built, folder / f"{version} {kind}")
            for version, path in pythons.items()
            for kind, built in (("wheel", wheel), ("sdist", sdist))
        }
        for (version, kind), result in waiting.items():
            print(f"Python {version}, {kind}: {result.result()}", flush=True)
        missing = [version for version in versions(wheel) if version not in pythons]
    print(f"tried on Python {', '.join(pythons)}; not found: {', '.join(missing) or 'none'}")
    if len(pythons) < least:
        sys.exit(f"these are {len(pythons)} versions, and {least} were asked for")


if __name__ == "__main__":
    main(int(sys.argv[1]))
