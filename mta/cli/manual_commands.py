"""The manual pages of commands and processes."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from importlib import import_module

import click

from mta.base.version import VERSION
from mta.cli import main, options
from mta.cli.roff import Page
from mta.proc import master
from mta.proc.roles import ROLES, Who

# Options that many commands have are described once.
COMMON = ("config", "macros", "json_")


def pages() -> Iterator[Page]:
    """The five pages."""
    yield sendmail()
    yield mailq()
    yield runq()
    yield mta()
    yield processes()


def sendmail() -> Page:
    """The option table."""
    page = Page("sendmail", 1, "send mail; list and steer the queue", VERSION)
    page.section_("synopsis")
    page.raw(".B sendmail", "[\\fIoption\\fP ...] \\fIrecipient\\fP ... < \\fImessage\\fP")
    page.section_("description")
    page.prose(_SENDMAIL)
    for topic, rows in options.TOPICS:
        page.section_(topic)
        for row in rows:
            who = "" if row.who == options.ANYBODY else f" ({row.who})"
            page.term(row.spelling)
            page.about(f"{row.help}{who}")
    page.section_("not yet")
    page.prose("These options of Exim are recognised and refused, with exit code 64:")
    page.prose(", ".join(row.spelling for row in options.LATER))
    page.section_("names")
    for name, flag in options.NAMES.items():
        page.term(name)
        page.about(f"The same as sendmail {flag}.")
    page.section_("exit status")
    for code, meaning in _EXITS:
        page.term(str(code))
        page.about(meaning)
    page.section_("examples")
    for call, what in options.EXAMPLES:
        page.term(call)
        page.about(what)
    page.section_("see also")
    page.raw("\\fBmailq\\fP(1), \\fBrunq\\fP(1), \\fBmta\\fP(1), \\fBmta.conf\\fP(5)")
    return page


_SENDMAIL = """\
Takes a message from standard input and hands it to the mail system.  It runs with no more
rights than its caller has.  Where the daemon runs, the message goes through a socket; where it
does not, into a directory from which the daemon takes it later.  The exit code is 0 only when
the message is safely on disk.

An option's argument may be joined to it or be the next word.  Options may follow recipients.
After -- every word is a recipient.  Each recipient may be a list with commas."""

_EXITS = (
    (0, "The message is safely on disk."),
    (64, "The command line is wrong."),
    (65, "The message or an address in it is wrong."),
    (66, "There is no such message."),
    (69, "Something that is needed is not there."),
    (75, "Try again later.  Where it says that the message may have been sent, look first."),
    (77, "You may not do that."),
    (78, "The configuration cannot be used."),
)


def mailq() -> Page:
    """What the listing means."""
    page = Page("mailq", 1, "list the mail that waits", VERSION)
    page.section_("synopsis")
    page.raw(".B mailq")
    page.section_("description")
    page.prose(_MAILQ)
    page.section_("see also")
    page.raw("\\fBsendmail\\fP(1), \\fBrunq\\fP(1), \\fBmta\\fP(1)")
    return page


_MAILQ = """\
The same as `sendmail -bp`.  Every message that waits is shown with how long it has waited, its
size, its id and its sender, followed by its recipients; D marks those that have it already.

    25m  2.9K 1xVW5F-000000000tB-2FH8 <sender@example.com>
            D done@example.org
              waiting@example.net

A message marked *** frozen *** waits until somebody looks at it.  Administrators see all
messages, others the ones that they sent.  `mta queue list` shows the same for the eye, with
the time of the next try, and in JSON for programs."""


def runq() -> Page:
    """A queue run."""
    page = Page("runq", 1, "try to deliver the mail that waits", VERSION)
    page.section_("synopsis")
    page.raw(".B runq")
    page.section_("description")
    page.prose(_RUNQ)
    page.section_("see also")
    page.raw("\\fBsendmail\\fP(1), \\fBmailq\\fP(1), \\fBmta\\fP(1)")
    return page


_RUNQ = """\
The same as `sendmail -q`: everything that waits and is due is tried.  -qf tries what is not
due as well, -qff also what is frozen.  Only administrators may do that.

The daemon is asked to do it and does it in the background.  Where none runs, root and the
owner of the queue get the same processes for this one run, and the command ends when they are
done."""


def mta() -> Page:
    """The mta command and its commands, as their own help says it."""
    page = Page("mta", 1, "run, look at, and steer the mail transfer agent", VERSION)
    page.section_("synopsis")
    page.raw(".B mta", "\\fIcommand\\fP [\\fIoption\\fP ...]")
    page.section_("description")
    page.prose(_help(main.mta))
    page.section_("commands")
    context = click.Context(main.mta, info_name="mta")
    for name in main.mta.list_commands(context):
        command = main.mta.get_command(context, name)
        assert command is not None
        _command(page, f"mta {name}", command)
    page.section_("common options")
    page.prose("Of all commands that are about a configuration or a spool:")
    every = main.mta.get_command(context, "check")
    assert every is not None
    for parameter in every.params:
        if isinstance(parameter, click.Option) and parameter.name in COMMON:
            _option(page, parameter)
    page.section_("see also")
    page.raw(
        "\\fBsendmail\\fP(1), \\fBmta.conf\\fP(5), \\fBmta\\fP(8), \\fBmta\\-internals\\fP(7)"
    )
    return page


def _help(command: click.Command) -> str:
    """The help text; what click is told to leave as it is, is indented."""
    paragraphs = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            title, *kept = paragraph[2:].split("\n")
            if title.endswith(":"):
                paragraphs.append(title)
            else:
                kept.insert(0, title)
            paragraphs.append(textwrap.indent(textwrap.dedent("\n".join(kept)), "    "))
        else:
            paragraphs.append(paragraph)
    return "\n\n".join(paragraphs)


def _command(page: Page, name: str, command: click.Command) -> None:
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=name)
        for each in command.list_commands(context):
            below = command.get_command(context, each)
            assert below is not None
            _command(page, f"{name} {each}", below)
        return
    page.subsection(" ".join([name, *_operands(command)]))
    page.prose(_help(command))
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.name not in COMMON:
            _option(page, parameter)


def _option(page: Page, parameter: click.Option) -> None:
    shown = ", ".join(parameter.opts)
    page.term(shown, "" if parameter.is_flag else str(parameter.metavar or ""))
    page.about(parameter.help or "")


def _operands(command: click.Command) -> list[str]:
    return [
        str(each.metavar or (each.name or "").upper())  # ascii: our own words
        for each in command.params
        if isinstance(each, click.Argument)
    ]


def processes() -> Page:
    """The roles, as the table of processes and each module's header say it."""
    page = Page("mta", 8, "the processes of the mail transfer agent mta", VERSION)
    page.section_("description")
    page.prose(_PROCESSES)
    page.section_("master")
    page.prose(inspect.cleandoc(master.__doc__ or ""))
    for role in ROLES:
        page.section_(role.name)
        page.raw(f"Runs as {_WHO[role.who]}.")
        page.prose(inspect.cleandoc(import_module(role.module).__doc__ or ""))
    for name in _OTHERS:
        page.section_(name)
        page.prose(inspect.cleandoc(import_module(f"mta.proc.{name}").__doc__ or ""))
    page.section_("see also")
    page.raw("\\fBmta\\fP(1), \\fBmta\\-internals\\fP(7), \\fBmta\\-spool\\fP(5)")
    return page


_PROCESSES = """\
`mta run` starts the master, which starts three roles and watches them; these fork the others.
ps(1) shows each with a title that begins with mta:.  Started by root they run as different
users, which `mta install --users` makes; started by anybody else, all run as that user.

Any process may die at any time: what is in the spool is not lost, and whoever died is started
again."""

# Those that a role forks.
_OTHERS = (
    "receiver",
    "deliverer",
    "userside",
    "looker",
    "pickup",
    "sweeper",
    "checker",
    "alone",
)

_WHO = {
    Who.ROOT: "root",
    Who.MAIL: "the mail user, who owns the spool",
    Who.NETWORK: "the network user, who talks to strangers",
}
