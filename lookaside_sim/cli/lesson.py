"""``lookaside-sim lesson``: take a lesson, print its paper or key, grade answers."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Final

from lookaside_sim.errors import LookasideSimError
from lookaside_sim.lessons.contents import LESSONS, lesson_named
from lookaside_sim.lessons.lesson import Taken, take
from lookaside_sim.lessons.pages import exam_page, lesson_pages
from lookaside_sim.lessons.paper import grade, key, quiz
from lookaside_sim.lessons.play import play

EXIT_OK: Final = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give the parser of ``lesson`` its description, arguments and command."""
    parser.description = (
        "Without NAME, list the lessons. With NAME, take one: a program runs call by"
        " call, and asks what comes next. `lesson grade FILE` grades answers. A seed gives other"
        " numbers and, mostly, other answers."
    )
    parser.set_defaults(command=_lesson)
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="a lesson's name or number, or grade"
    )
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="with grade: a .json file of answers"
    )
    parser.add_argument("--seed", metavar="N", type=_seed, default=0, help="default: 0")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--quiz", action="store_true", help="print the paper: questions only")
    what.add_argument("--key", action="store_true", help="print the answers to the paper")
    parser.add_argument(
        "-o",
        "--output",
        metavar="PAGE",
        type=Path,
        help="write the lesson as a page; with --quiz its paper as one, without the answers",
    )


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: give a whole number, 0 or more")
    return int(text)


def _lesson(options: argparse.Namespace) -> int:
    if options.name == "grade":
        return _grade(options.file)
    if options.file is not None:
        raise LookasideSimError(f"{options.file}: only `lesson grade` takes a file")
    if options.name is None:
        print(_contents())
        return EXIT_OK
    taken = take(lesson_named(options.name), options.seed)
    if options.output is not None:
        return _write(taken, options)
    if options.quiz or options.key:
        print(quiz(taken) if options.quiz else key(taken))
    else:
        play(taken, _ask, print)
    return EXIT_OK


def _write(taken: Taken, options: argparse.Namespace) -> int:
    if options.key:
        raise LookasideSimError("lesson --key: a key is printed, it has no page")
    output: Path = options.output
    pages = [exam_page(taken)] if options.quiz else lesson_pages(taken)
    for number, text in enumerate(pages, 1):
        path = output if number == 1 else output.with_stem(f"{output.stem}-{number}")
        path.write_text(text, "utf-8")
        print(f"{taken.lesson.title}: {path}")
    return EXIT_OK


def _contents() -> str:
    lines = [
        f"{number:2}  {each.name:<8}{each.title:<34}{each.learns}"
        for number, each in enumerate(LESSONS, 1)
    ]
    return "\n".join([*lines, "", "lookaside-sim lesson NAME takes one."])


def _grade(path: Path | None) -> int:
    if path is None:
        raise LookasideSimError("lesson grade: give the file of answers")
    grades = grade(path)
    print("\n\n".join(each.text() for each in grades))
    if len(grades) > 1:
        points, most = sum(g.points for g in grades), sum(len(g.marks) for g in grades)
        print(f"\n{len(grades)} sheets: {points} of {most}")
    return EXIT_OK


def _ask(prompt: str) -> str | None:
    """Ask in a terminal; in a pipe the prompt and the answer stand in one line."""
    try:
        answer = input(prompt)
    except EOFError:
        print()
        return None
    if not sys.stdin.isatty():
        print(answer)
    return answer
