"""The manual: written from the declarations, up to date, and free of formatting mistakes."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mta.cli import gendoc, main, options, place
from mta.cli.roff import Page, escape, inline
from mta.proc.roles import ROLES

TREE = Path(place.tree())
PAGES = sorted((TREE / "man").glob("*.[1-8]"))


def page(*parts: str) -> str:
    written = Page("x", 1, "a page", "1")
    for part in parts:
        written.prose(part)
    return written.text.partition("a page\n")[2]


def test_special_characters_are_shown_as_they_are() -> None:
    assert escape(r"a\b-'`^~ → …") == r"a\eb\-\(aq\(ga\(ha\(ti \(-> ..."
    assert escape("ü") == r"\[u00FC]"


def test_a_line_cannot_become_a_request() -> None:
    assert escape(".so /etc/passwd") == r"\&.so /etc/passwd"
    assert inline("`.include` FILE") == r"\fB\&.include\fP FILE"


def test_words_between_backquotes_are_bold_if_they_are_in_pairs() -> None:
    assert inline("the `hide` word") == r"the \fBhide\fP word"
    assert inline("a ` alone") == r"a \(ga alone"


def test_prose_and_what_keeps_its_form() -> None:
    assert page("One\ntwo.\n\n    a  b\n    c  d\n\nThree.") == (
        ".PP\nOne\ntwo.\n.PP\n.RS 4\n.nf\na  b\nc  d\n.fi\n.RE\n.PP\nThree.\n"
    )


def test_the_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    code = gendoc.main(["--check"])
    assert (code, capsys.readouterr().err) == (0, "")


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_formatters_have_nothing_to_complain_about(file: Path) -> None:
    ended = subprocess.run(
        ["groff", "-ww", "-man", "-Tutf8", str(file)], capture_output=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_every_command_and_option_has_its_place() -> None:
    text = (TREE / "man" / "mta.1").read_text(encoding="ascii")
    assert [name for name in main.COMMANDS if f'"mta {name}' not in text] == []
    text = (TREE / "man" / "sendmail.1").read_text(encoding="ascii")
    missing = [flag for flag in options.TABLE if escape(flag) not in text]
    assert missing == []


def test_every_process_is_explained() -> None:
    for name in ("mta.8", "mta-internals.7"):
        text = (TREE / "man" / name).read_text(encoding="ascii").casefold()  # ascii: ours
        assert [role.name for role in ROLES if role.name not in text] == []


def test_the_map_of_the_documents_leads_somewhere() -> None:
    text = (TREE / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:man|etc|bin|spool|mta)/[\w./-]+)`", text)
    missing = {name for name in named if not (TREE / name).exists()}
    assert missing - {"spool/mail/"} == set()  # the demo makes that
    assert len(named) > 8


def test_what_is_common_to_commands_is_described_once() -> None:
    text = (Path(place.tree()) / "man" / "mta.1").read_text("ascii")
    assert text.count("Answer in JSON") == 1
    # All lines of an example keep their form, the first too.
    assert ".nf\nmta run \\-C /etc/mta/mta.conf\nmta run \\-\\-foreground" in text
