"""``python -m docs`` builds the book into docs/_build/html: every code cell is executed, every warning is an
error. The course is there in Chinese, too, at zh/.

``python -m docs --open`` shows it in a browser. ``python -m docs --messages`` writes new sentences of the
course into docs/locale, where their translations belong.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path

from babel.messages import pofile

HERE = Path(__file__).parent
BUILT = HERE / "_build"
MESSAGES = HERE / "locale" / "zh_CN" / "LC_MESSAGES" / "course"
HEADER = rb"""msgid ""
msgstr ""
"Language: zh_CN\n"
"Content-Type: text/plain; charset=UTF-8\n"
"Content-Transfer-Encoding: 8bit\n"

"""


def _run(program: str, *arguments: str | Path) -> int:
    return subprocess.run([sys.executable, "-m", program, *arguments], cwd=HERE).returncode


def _build(into: Path, *options: str) -> int:
    return _run("sphinx", "-b", "html", "-W", "--keep-going", "-q", *options, HERE, into)


def untranslated() -> list[str]:
    """The course's sentences that have no translation, or one of an earlier wording, or one that begins as a
    list does, where Sphinx looks for a sentence; as "file:line: text"."""
    missing = []
    for path in sorted(MESSAGES.rglob("*.po")):
        with path.open("rb") as file:
            for message in pofile.read_po(file):
                as_list = re.match(r"(?:[-+*]|\d+[.)])\s", str(message.string))
                if message.id and (message.fuzzy or not message.string or as_list):
                    missing.append(f"{path.relative_to(HERE)}:{message.lineno}: {message.id}")
    return missing


def _write_messages() -> int:
    into = BUILT / "messages"
    options = (
        "-t",
        "chinese",
        "-D",
        "language=en",
        "-D",
        "nb_execution_mode=off",
        "-D",
        "suppress_warnings=myst-nb.lexer",
    )
    failed = _run("sphinx", "-b", "gettext", "-q", *options, HERE, into)
    failed = failed or _run("sphinx_intl", "update", "-p", into, "-l", "zh_CN")
    for path in MESSAGES.rglob("*.po"):
        _tidy(path)
    return failed


def _tidy(path: Path) -> None:
    """Without dates, places and messages that are gone: a file changes where a sentence does."""
    with path.open("rb") as file:
        messages = pofile.read_po(file)
    with path.open("wb") as file:
        file.write(HEADER)
        pofile.write_po(file, messages, width=110, omit_header=True, no_location=True, ignore_obsolete=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m docs", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--open", action="store_true", help="show the book in a browser")
    parser.add_argument(
        "--messages", action="store_true", help="write the course's new sentences to docs/locale"
    )
    chosen = parser.parse_args()
    shutil.rmtree(BUILT, ignore_errors=True)
    if chosen.messages:
        return _write_messages()
    missing = untranslated()
    print(*missing, sep="\n", end="\n" if missing else "")
    failed = bool(missing) | _build(BUILT / "html") | _build(BUILT / "html" / "zh", "-t", "chinese")
    if chosen.open:
        webbrowser.open((BUILT / "html" / "index.html").as_uri())
    return failed


if __name__ == "__main__":
    sys.exit(main())
