"""The ACLs of a configuration, compiled, and the one that runs at each phase."""

from __future__ import annotations

from dataclasses import dataclass, field

from mta.acl.parser import parse, parse_text
from mta.acl.phase import OPTIONS, Phase, describe
from mta.acl.program import Program
from mta.base.errors import ConfigError, TempFail, Where
from mta.base.registry import suggestion
from mta.base.text import trim
from mta.base.trust import is_trusted
from mta.config.model import Configuration
from mta.config.template import Template
from mta.expand.compile import compile_template
from mta.expand.trust import refusal
from mta.match.lists import check_template

CACHE_LIMIT = 100


@dataclass(slots=True)
class Acls:
    """All ACLs.  An entry is a program, or a template where it depends on the session."""

    named: dict[str, Program] = field(default_factory=dict)
    entries: dict[Phase, Program | Template] = field(default_factory=dict)
    _inline: dict[str, Program] = field(default_factory=dict)

    def called(self, text: str, where: Where) -> Program:
        """The ACL that a text names or is.

        Raises TempFail for a name that there is not, for text of strangers, and for errors.
        """
        if not is_trusted(text):
            raise TempFail(refusal(text, "ACL name or text", where), code=-1)
        text = trim(text)
        if (program := self.named.get(text)) is not None:
            return program
        if text.startswith("/"):
            raise TempFail(f"ACLs in files are not supported yet ({where})")
        return self._compiled(text, where)

    def _compiled(self, text: str, where: Where) -> Program:
        program = self._inline.get(text)
        if program is None:
            try:
                program = parse_text("inline", text, where)
            except ConfigError as error:
                raise TempFail(f"error in ACL: {error}") from None
            if len(self._inline) >= CACHE_LIMIT:
                self._inline.clear()
            self._inline[text] = program
        return program


def load_acls(conf: Configuration) -> Acls:
    """Compile all ACLs of a configuration.  Raises ConfigError."""
    acls = Acls({name: parse(name, lines) for name, lines in conf.acls.items()})
    for option, phase in OPTIONS.items():
        entry: Template | None = getattr(conf.policy, option)
        if entry is not None:
            compile_template(entry)
            acls.entries[phase] = _entry(acls, option, entry)
    for phase, found in acls.entries.items():
        if isinstance(found, Program):
            _check_phase(acls, found, phase, set())
    return acls


def check_lists(conf: Configuration, acls: Acls) -> list[ConfigError]:
    """What is wrong with the lists in all ACLs, as far as that is known before they run."""
    programs = [*acls.named.values()]
    programs += [each for each in acls.entries.values() if isinstance(each, Program)]
    return [
        error
        for program in programs
        for statement in program.statements
        for step in statement.steps
        if step.word.listing is not None
        for error in check_template(conf, step.word.listing, step.argument)
    ]


def _entry(acls: Acls, option: str, entry: Template) -> Program | Template:
    """The program that an option names or holds, or the option itself if it has to wait."""
    if "$" in entry.text:
        return entry
    text = trim(entry.text)
    if (program := acls.named.get(text)) is not None:
        return program
    if text.startswith("/"):
        raise ConfigError(entry.where, f"{option}: ACLs in files are not supported yet")
    try:
        return parse_text(option, text, entry.where)
    except ConfigError:
        if " " in text or "\n" in text:
            raise
        meant = suggestion(text, list(acls.named))
        raise ConfigError(entry.where, f'{option}: there is no ACL "{text}"', meant) from None


def _check_phase(acls: Acls, program: Program, phase: Phase, seen: set[str]) -> None:
    """Refuse what cannot be tested where this ACL runs, also in the ACLs that it calls."""
    if program.name in seen:
        return
    seen.add(program.name)
    for statement in program.statements:
        for step in statement.steps:
            word, where = step.word, step.argument.where
            if not phase & word.phases:
                use = "use" if word.is_modifier else "test"
                raise ConfigError(where, f"cannot {use} {word.name} in {describe(phase)} ACL")
            if word.name == "acl" and "$" not in step.argument.text:
                called = acls.named.get(step.argument.text)
                if called is None:
                    reason = f'there is no ACL "{step.argument.text}"'
                    meant = suggestion(step.argument.text, list(acls.named))
                    raise ConfigError(where, reason, meant)
                _check_phase(acls, called, phase, seen)
