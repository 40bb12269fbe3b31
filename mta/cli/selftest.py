"""`mta test`: run the suite of the source tree; say what passed, failed or could not run.

The groups are the directories under `tests/`. What needs root, a network namespace or another
mail system runs where it can; elsewhere it is skipped, and its reason is printed with the
number of tests it kept from running. With `--minimum` the number of tests that ran in each
group is compared with `tests/MINIMUM`: a suite that quietly stopped running is a failure.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import click

TREE = Path(__file__).resolve().parents[2]
# The quick ones first: what is broken shows early.
GROUPS = (
    "unit",
    "house",
    "conform",
    "dialogues",
    "integration",
    "interop",
    "network",
    "fault",
    "privilege",
    "fuzz",
)
NOT_TESTS = ("bench", "harness")
NOTHING_CHOSEN = 5  # pytest's exit code when -k leaves no test
APART = (
    "import sys; sys.path.insert(0, sys.argv[1])\n"
    "from mta.cli.selftest import apart; sys.exit(apart(int(sys.argv[2]), sys.argv[3:]))"
)


class Report(Protocol):
    """What pytest says about one phase of one test (pytest itself may not be installed)."""

    nodeid: str
    longrepr: object

    @property
    def failed(self) -> bool:
        """It did not do what it promised, or broke."""

    @property
    def skipped(self) -> bool:
        """It was not carried out, or is expected to fail."""


@dataclass(slots=True)
class Tally:
    """What became of the tests of one group."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    @property
    def ran(self) -> int:
        """Tests that were carried out, whatever came of it."""
        return self.passed + self.failed


@dataclass(slots=True, eq=False)
class Recorder:
    """A pytest plug-in that counts outcomes per group and keeps the reasons for skips."""

    groups: dict[str, Tally] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)

    def of(self, nodeid: str) -> Tally:
        """The tally of the group that the test belongs to."""
        parts = nodeid.partition("::")[0].split("/")
        group = parts[1] if parts[0] == "tests" and len(parts) > 1 else "other"
        return self.groups.setdefault(group, Tally())

    def skip(self, report: Report) -> None:
        """One more that was not carried out."""
        self.of(report.nodeid).skipped += 1
        self.reasons[reason_of(report)] += 1

    def pytest_runtest_logreport(self, report: Report) -> None:
        """One phase of one test has ended; a failing set-up or clean-up is a failure too."""
        if report.failed:
            self.of(report.nodeid).failed += 1
        elif report.skipped:
            self.skip(report)
        elif getattr(report, "when", "") == "call":
            self.of(report.nodeid).passed += 1

    def pytest_collectreport(self, report: Report) -> None:
        """A file of tests could not be read, or asked to be skipped as a whole."""
        if report.failed:
            self.of(report.nodeid).failed += 1
        elif report.skipped:
            self.skip(report)


def reason_of(report: Report) -> str:
    """Why a test was not carried out, in its own words."""
    expected = getattr(report, "wasxfail", None)
    if expected is not None:
        return f"known failure: {expected}"
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[-1]).removeprefix("Skipped: ")
    return str(report.longrepr)


def read_minimum(text: str) -> dict[str, int]:
    """`group number` lines; `#` starts a comment."""
    wanted = {}
    for line in text.split("\n"):
        words = line.partition("#")[0].split()
        if words:
            wanted[words[0]] = int(words[1])
    return wanted


def shortfalls(groups: Mapping[str, Tally], wanted: Mapping[str, int]) -> list[str]:
    """The groups of which fewer tests ran than must."""
    missing = []
    for group, number in wanted.items():
        ran = groups.get(group, Tally()).ran
        if ran < number:
            missing.append(f"{group}: {ran} tests ran, at least {number} must")
    return missing


def summary(recorder: Recorder) -> list[str]:
    """The closing table, and the counts as its last line."""
    lines = [f"{number:5d} skipped: {why}" for why, number in recorder.reasons.most_common()]
    lines += ["", f"{'group':14}{'passed':>8}{'failed':>8}{'skipped':>8}"]
    known = {group: recorder.groups[group] for group in GROUPS if group in recorder.groups}
    total = Tally()
    for group, tally in {**known, **recorder.groups}.items():
        lines.append(f"{group:14}{tally.passed:8}{tally.failed:8}{tally.skipped:8}")
        total.passed += tally.passed
        total.failed += tally.failed
        total.skipped += tally.skipped
    counts = f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped"
    return [*lines, "", counts]


def paths_of(chosen: tuple[str, ...]) -> list[str]:
    """What pytest is to run: the groups or paths named, or every group that there is."""
    if chosen:
        return [
            f"tests/{name}" if (TREE / "tests" / name).is_dir() else name for name in chosen
        ]
    there = sorted(entry.name for entry in (TREE / "tests").iterdir() if entry.is_dir())
    others = [
        name for name in there if name not in (*GROUPS, *NOT_TESTS) and name[0] not in "._"
    ]
    return [f"tests/{name}" for name in (*GROUPS, *others) if name in there]


def run_apart(arguments: list[str], recorder: Recorder) -> int:
    """Run pytest in a process of its own, and add what it counted to the recorder.

    One process per group: what a test leaves open must not be in the way of another group, and
    a test that takes the process down costs the rest of its group only.
    """
    reader, writer = os.pipe()
    flags = "-IB" if sys.dont_write_bytecode else "-I"
    command = [sys.executable, flags, "-c", APART, str(TREE), str(writer), *arguments]
    with subprocess.Popen(command, cwd=TREE, pass_fds=(writer,)) as child:
        os.close(writer)
        with os.fdopen(reader, "rb") as counts:
            said = counts.read()
    if not said:
        recorder.of(f"{arguments[0]}/").failed += 1
        click.echo(
            f"{arguments[0]}: the tests ended with exit code {child.returncode}", err=True
        )
        return 1
    found = json.loads(said)
    for group, numbers in found["groups"].items():
        tally = recorder.groups.setdefault(group, Tally())
        tally.passed += numbers[0]
        tally.failed += numbers[1]
        tally.skipped += numbers[2]
    recorder.reasons.update(found["reasons"])
    return child.returncode


def apart(writer: int, arguments: list[str]) -> int:
    """The other side of `run_apart`: run pytest here and write the counts to a descriptor."""
    import pytest

    os.set_inheritable(writer, False)
    recorder = Recorder()
    if os.stat(TREE).st_uid != os.geteuid():
        arguments = [*arguments, "-p", "no:cacheprovider"]
    status = int(pytest.main(arguments, plugins=[recorder]))
    groups = {
        group: (tally.passed, tally.failed, tally.skipped)
        for group, tally in recorder.groups.items()
    }
    with os.fdopen(writer, "w", encoding="utf-8") as counts:
        json.dump({"groups": groups, "reasons": recorder.reasons}, counts)
    return status


def run_all(paths: list[str], arguments: list[str], recorder: Recorder, *, stop: bool) -> int:
    """Run one path after the other; 0 if something ran and nothing failed."""
    if importlib.util.find_spec("pytest") is None:
        raise click.ClickException(
            "the test tools are not installed; in a source tree bin/mta test installs them"
        )
    statuses = []
    for path in paths:
        statuses.append(run_apart([path, *arguments], recorder))
        if stop and statuses[-1] not in (0, NOTHING_CHOSEN):
            break
    if set(statuses) <= {NOTHING_CHOSEN}:
        return NOTHING_CHOSEN
    return int(any(status not in (0, NOTHING_CHOSEN) for status in statuses))


@click.command()
@click.option("-k", "expression", metavar="EXPRESSION", help="Only tests whose names match.")
@click.option("-x", "stop", is_flag=True, help="Stop at the first failure.")
@click.option("-v", "verbose", is_flag=True, help="Name each test.")
@click.option("--minimum", is_flag=True, help="Fail if fewer ran than tests/MINIMUM says.")
@click.argument("chosen", metavar="[GROUP|PATH]...", nargs=-1)
def test(
    *,
    expression: str | None,
    stop: bool,
    verbose: bool,
    minimum: bool,
    chosen: tuple[str, ...],
) -> None:
    """Run the test suite of this source tree."""
    recorder = Recorder()
    arguments: list[str] = []
    if expression is not None:
        arguments += ["-k", expression]
    if stop:
        arguments.append("-x")
    if verbose:
        arguments.append("-vv")
    if not (TREE / "tests").is_dir():
        raise click.ClickException(
            f"there are no tests in {TREE}; they are in the source tree"
        )
    for path in paths_of(chosen):
        if not (TREE / path.partition("::")[0]).exists():
            groups = ", ".join(each.rpartition("/")[2] for each in paths_of(()))
            raise click.ClickException(f"there is no {path}; groups are {groups}")
    status = run_all(paths_of(chosen), arguments, recorder, stop=stop)
    for line in summary(recorder):
        click.echo(line)
    if minimum and expression is None:
        wanted = read_minimum((TREE / "tests" / "MINIMUM").read_text(encoding="utf-8"))
        counted = {group: n for group, n in wanted.items() if not chosen or group in chosen}
        missing = shortfalls(recorder.groups, counted)
        for line in missing:
            click.echo(f"tests/MINIMUM: {line}", err=True)
        status = status or int(bool(missing))
    sys.exit(status)
