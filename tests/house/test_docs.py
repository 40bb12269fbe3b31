"""The manual is what the declarations say now, and the commands are all there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.harness.source import TREE

LINKS = ("mailq", "runq", "newaliases", "exim")


@pytest.mark.skipif(not (TREE / "mta/cli/gendoc.py").exists(), reason="there is no manual yet")
def test_the_manual_pages_are_current() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "mta.cli.gendoc", "--check"],
        cwd=TREE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("name", LINKS)
def test_the_names_of_sendmail_are_links_to_it(name: str) -> None:
    assert os.readlink(TREE / "bin" / name) == "sendmail"


@pytest.mark.parametrize(
    "name", ["bin/mta", "bin/sendmail", ".ci/run", "tests/harness/debroot"]
)
def test_the_scripts_are_executable_and_parse(name: str) -> None:
    first = (TREE / name).read_text(encoding="utf-8").split("\n")[0]
    assert os.access(TREE / name, os.X_OK)
    assert (
        subprocess.run([first.removeprefix("#!"), "-n", TREE / name], check=False).returncode
        == 0
    )


@pytest.mark.parametrize("name", ["README.md", "LICENSE", "HISTORY", "man/mta-internals.7"])
def test_the_front_matter_is_there(name: str) -> None:
    assert (TREE / name).stat().st_size > 0


def test_the_commands_that_pip_installs_are_those_of_bin() -> None:
    import tomllib

    with (TREE / "pyproject.toml").open("rb") as file:
        scripts = tomllib.load(file)["project"]["scripts"]
    assert set(scripts) == {"mta", "sendmail", *LINKS}
