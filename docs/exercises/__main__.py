"""``python -m docs.exercises 3`` checks your answer to exercise 3, answers/3_weighting.py; if it is not there
yet, it is written, for you to fill in."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path

from .compare import check
from .questions import EXERCISES, asked, stub

ANSWERS = Path("answers")


def main() -> int:
    listed = "\n".join(f"  {number:3} {exercise.title}" for number, exercise in EXERCISES.items())
    parser = argparse.ArgumentParser(
        prog="python -m docs.exercises",
        description=__doc__.replace("``", ""),
    )
    parser.add_argument("number", nargs="?", choices=EXERCISES, help="without it, all are listed")
    number = parser.parse_args().number
    if number is None:
        print(listed)
        return 0
    exercise = EXERCISES[number]
    path = ANSWERS / exercise.file
    if not path.exists():
        ANSWERS.mkdir(exist_ok=True)
        path.write_text(stub(number), encoding="utf-8")
        print(f"Fill in {path} and run this command again.")
        return 0
    report = check(number, runpy.run_path(str(path))[asked(exercise).name])
    print(report)
    return not report.right


if __name__ == "__main__":
    sys.exit(main())
