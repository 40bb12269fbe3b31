"""How `mta test` counts."""

from __future__ import annotations

from dataclasses import dataclass

from click.testing import CliRunner

from mta.cli import selftest
from mta.cli.selftest import Recorder, Tally, read_minimum, shortfalls, summary


@dataclass
class Fake:
    """A report of pytest as far as the counting looks at it."""

    nodeid: str
    outcome: str
    when: str = "call"
    longrepr: object = None

    @property
    def failed(self) -> bool:
        return self.outcome == "failed"

    @property
    def skipped(self) -> bool:
        return self.outcome == "skipped"


def recorded(*reports: Fake) -> Recorder:
    recorder = Recorder()
    for report in reports:
        recorder.pytest_runtest_logreport(report)
    return recorder


def test_a_test_counts_for_the_directory_it_is_in() -> None:
    recorder = recorded(
        Fake("tests/unit/base/test_text.py::test_a", "passed"),
        Fake("tests/fault/test_crash.py::test_b[1::2]", "passed"),
    )
    assert recorder.groups == {"unit": Tally(passed=1), "fault": Tally(passed=1)}


def test_a_test_that_passes_counts_once_with_its_set_up_and_clean_up() -> None:
    name = "tests/unit/test_a.py::test_a"
    recorder = recorded(
        *(Fake(name, "passed", when) for when in ("setup", "call", "teardown"))
    )
    assert recorder.groups["unit"] == Tally(passed=1)


def test_a_clean_up_that_fails_is_a_failure() -> None:
    recorder = recorded(Fake("tests/unit/test_a.py::test_a", "failed", "teardown"))
    assert recorder.groups["unit"].failed == 1


def test_a_skip_keeps_its_reason() -> None:
    reason = ("tests/privilege/test_a.py", 7, "Skipped: needs root")
    name = "tests/privilege/test_a.py::test_a"
    recorder = recorded(
        Fake(name, "skipped", "setup", reason), Fake(name, "skipped", "setup", reason)
    )
    assert dict(recorder.reasons) == {"needs root": 2}
    assert "    2 skipped: needs root" in summary(recorder)


def test_a_file_that_cannot_be_read_is_a_failure() -> None:
    recorder = Recorder()
    recorder.pytest_collectreport(Fake("tests/fuzz/test_a.py", "failed"))
    assert recorder.groups["fuzz"].failed == 1


def test_the_last_line_holds_the_counts() -> None:
    recorder = Recorder(groups={"unit": Tally(5, 1, 0), "fault": Tally(2, 0, 3)})
    assert summary(recorder)[-1] == "7 passed, 1 failed, 3 skipped"


def test_skipped_tests_do_not_count_towards_the_minimum() -> None:
    groups = {"unit": Tally(passed=9, failed=1), "fault": Tally(passed=4, skipped=6)}
    assert shortfalls(groups, {"unit": 10, "fault": 5, "fuzz": 1}) == [
        "fault: 4 tests ran, at least 5 must",
        "fuzz: 0 tests ran, at least 1 must",
    ]


def test_the_minimum_is_lines_of_group_and_number() -> None:
    assert read_minimum("# how many\nunit 12\n\nhouse 3  # and more\n") == {
        "unit": 12,
        "house": 3,
    }


def test_a_group_that_there_is_not_is_answered_with_those_there_are() -> None:
    ended = CliRunner().invoke(selftest.test, ["unti"])
    assert ended.exit_code == 1
    assert "there is no unti; groups are unit, " in ended.output
