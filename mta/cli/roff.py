"""Manual pages: plain prose, tables of terms and literal blocks, written as roff.

Only the macros of man(7) are used, and only ASCII, so that every formatter shows the same.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

_SPECIAL = {
    "\\": "\\e",
    "-": "\\-",
    "'": "\\(aq",
    "`": "\\(ga",
    "^": "\\(ha",
    "~": "\\(ti",
    "→": "\\(->",
    "…": "...",
    "—": "\\(em",
    "–": "\\(en",
    "×": "\\(mu",
}


def escape(text: str) -> str:
    """Text as roff shows it literally."""
    shown = "".join(
        _SPECIAL.get(each, each if each.isascii() else f"\\[u{ord(each):04X}]")
        for each in text
    )
    return f"\\&{shown}" if shown.startswith(".") else shown


def inline(text: str) -> str:
    """A line of prose: `word` becomes bold."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return escape(text)
    shown = "".join(
        f"\\fB{escape(part)}\\fP" if number % 2 else escape(part)
        for number, part in enumerate(parts)
    )
    return f"\\&{shown}" if shown.startswith(".") else shown


class Page:
    """A manual page that is being written."""

    def __init__(self, name: str, section: int, purpose: str, version: str) -> None:
        self.name = name
        self.section = section
        title = f'.TH {escape(name.upper())} {section} "" "mta {version}" "mta"'  # ascii: ours
        self._lines = [
            '.\\" Written by mta.cli.gendoc from the declarations; do not edit.',
            title,
            ".SH NAME",
            f"{escape(name)} \\- {inline(purpose)}",
        ]

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.{self.section}"

    @property
    def text(self) -> str:
        """The whole page."""
        return "\n".join(self._lines) + "\n"

    def section_(self, title: str) -> None:
        """A new section."""
        self._lines.append(f'.SH "{escape(title.upper())}"')  # ascii: our own words

    def subsection(self, title: str) -> None:
        """A new subsection."""
        self._lines.append(f'.SS "{escape(title)}"')

    def prose(self, text: str) -> None:
        """Paragraphs; what is indented, or aligned in columns, is shown as it stands."""
        first, *rest = text.split("\n")
        lines = [first, *textwrap.dedent("\n".join(rest)).split("\n")]
        block: list[str] = []
        for line in [*lines, ""]:
            if line.strip(" "):
                block.append(line)
            elif block:
                self._block(block)
                block = []

    def _block(self, lines: list[str]) -> None:
        # A paragraph may end in a table that is indented.
        plain: list[str] = []
        for number, line in enumerate(lines):
            if _is_literal(line):
                self._paragraph(plain)
                self.literal(lines[number:])
                return
            plain.append(line)
        self._paragraph(plain)

    def _paragraph(self, lines: list[str]) -> None:
        if lines:
            self._lines.append(".PP")
            self._lines.extend(inline(line) for line in lines)

    def literal(self, lines: Iterable[str]) -> None:
        """Lines that keep their form."""
        shown = textwrap.dedent("\n".join(lines)).split("\n")
        self._lines += [".PP", ".RS 4", ".nf"]
        self._lines.extend(escape(line) for line in shown)
        self._lines += [".fi", ".RE"]

    def term(self, what: str, more: str = "") -> None:
        """A term; what is said about it follows with `about`."""
        tail = f" {escape(more)}" if more else ""
        self._lines += [".TP", f"\\fB{escape(what)}\\fP{tail}"]

    def about(self, text: str) -> None:
        """What is to be said about a term: prose, then examples."""
        first, *rest = text.split("\n")
        lines = [first, *textwrap.dedent("\n".join(rest)).split("\n")]
        was_blank = in_literal = False
        for line in lines:
            if not line.strip(" "):
                was_blank = True
                continue
            literal = _is_literal(line) or (in_literal and line.startswith(" "))
            if in_literal and not literal:
                self._lines += [".fi", ".RE"]
            if literal and not in_literal:
                self._lines += [".RS 11", ".nf"]
            elif was_blank and not literal:
                self._lines.append(".IP")
            in_literal, was_blank = literal, False
            self._lines.append(escape(line) if literal else inline(line))
        if in_literal:
            self._lines += [".fi", ".RE"]

    def raw(self, *lines: str) -> None:
        """Lines of roff."""
        self._lines.extend(lines)


def _is_literal(line: str) -> bool:
    """True for what has a form to keep: an example, an indented line, columns."""
    return line.startswith(("    ", "${")) or "   " in line.strip(" ") or " → " in line
