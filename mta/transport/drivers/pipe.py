"""Hand messages to commands: procmail, vacation, list managers, whatever stands in .forward.

Runs as the recipient.  A command is split into arguments before anything is expanded and runs
without a shell (see transport.command); what strangers wrote can be no command, and as an
argument only $pipe_addresses.  With use_shell the whole line goes to /bin/sh, and must then be
free of strangers' text altogether.

What the exit code means follows Exim: 0 is success, the codes in temp_errors mean later,
everything else is a failure, and so is any output at all with return_output.  A command that
takes too long or says too much is killed with all its children.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace

from mta.base.errors import ConfigError, ExpansionFail, PermFail, TempFail
from mta.base.text import is_number, to_bytes, to_text, trim
from mta.base.trust import Trusted, is_trusted
from mta.config import kinds
from mta.config.model import Block
from mta.config.option import Option
from mta.config.template import template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.split import split_list
from mta.expand.trust import require
from mta.transport import command as lines
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport, transport
from mta.transport.filter import FilterTimeout
from mta.transport.framing import batch_smtp, escaped, with_crlf
from mta.transport.writing import Stream, chunks
from mta.unix import command
from mta.unix.command import EXIT_EXEC, Command, Ended

SHELL = "/bin/sh"
FAILED = "local delivery failed"  # all that the sender is told
TOO_MUCH = "\n\n*** Too much output - remainder discarded ***\n"
MOST_RETURNED = 20_000  # octets of output that a bounce holds
_BLANK = b" \t\r\v\f"
_PREFIX = "From ${if def:return_path{$return_path}{MAILER-DAEMON}} ${tod_bsdinbox}\\n"

# What the codes of sysexits.h could mean.
_MEANINGS = {
    64: "usage or syntax error",
    65: "error in input data",
    66: "input data missing",
    67: "user nonexistent",
    68: "host nonexistent",
    69: "service or program unavailable",
    70: "internal software error",
    71: "internal operating system error",
    72: "system file missing",
    73: "can't create output file",
    74: "input/output error",
    75: "temporary error",
    76: "protocol error",
    77: "permission denied",
    78: "configuration error",
    EXIT_EXEC: "unable to exec or command does not exist",
}


@transport("pipe")
class Pipe(Transport):
    """Hand messages to commands."""

    command = Option(kinds.command, "", "The command, unless a redirection named it.")
    force_command = Option(
        kinds.boolean, "false", "Run `command` even for addresses that name a command."
    )
    use_shell = Option(kinds.boolean, "false", "Let /bin/sh run the whole command line.")
    allow_commands = Option(kinds.string_list, "", "The only commands that may be run.")
    restrict_to_path = Option(
        kinds.boolean, "false", "Run only what is found on the path by its bare name."
    )
    path = Option(kinds.expanded, "/bin:/usr/bin", "Where commands are sought.")
    environment = Option(
        kinds.expanded, "", "More variables of the environment: name=value, colons between."
    )
    umask = Option(kinds.octal, "022", "The umask of the command.")
    timeout = Option(kinds.time, "1h", "How long a command may take; 0 for no limit.")
    timeout_defer = Option(kinds.boolean, "false", "Try again after one took too long.")
    temp_errors = Option(
        kinds.string, "73:75", "The exit codes that mean try again; * for all."
    )
    ignore_status = Option(kinds.boolean, "false", "Take every exit code for success.")
    freeze_exec_fail = Option(
        kinds.boolean, "false", "Freeze the message if the command cannot be run."
    )
    freeze_signal = Option(
        kinds.boolean, "false", "Freeze the message if a signal ends the command."
    )
    return_output = Option(
        kinds.boolean, "false", "Any output is a failure, and goes into the bounce."
    )
    return_fail_output = Option(
        kinds.boolean, "false", "Put the output of a command that fails into the bounce."
    )
    log_output = Option(kinds.boolean, "false", "Log the first line of output.")
    log_fail_output = Option(
        kinds.boolean, "false", "Log the first line of output of a command that fails."
    )
    log_defer_output = Option(
        kinds.boolean, "false", "Log the first line of output of one that is to run again."
    )
    max_output = Option(
        kinds.integer, "20K", "What a command may say, in octets, before it is killed."
    )
    message_prefix = Option(kinds.expanded, _PREFIX, "What comes before the message.")
    message_suffix = Option(kinds.expanded, "\\n", "What comes after the message.")
    check_string = Option(kinds.string, "", "The start of lines that are escaped.")
    escape_string = Option(kinds.string, "", "What is put in its place.")
    use_crlf = Option(kinds.boolean, "false", "End lines with CRLF.")
    use_bsmtp = Option(kinds.boolean, "false", "Give the message as batch SMTP.")
    batch_max = Option(kinds.integer, "1", "The most recipients that share one command.")
    batch_id = Option(kinds.expanded, "", "Only recipients with the same text share one.")
    permit_coredump = Option(kinds.boolean, "false", "Let the command leave a core.")

    runs_commands = True

    def __init__(self, block: Block) -> None:
        super().__init__(block)
        self.line = lines.command_line(self.command) if self.command else None
        self.script = None  # for the shell
        if self.use_shell and self.command:
            self.script = template(self.command.text, self.command.where)
        self.temporary = frozenset(_codes(self.temp_errors))
        if self.use_bsmtp:
            unset = {"message_prefix", "message_suffix"} - set(self.where)
            for name in unset:
                setattr(self, name, None)

    def check(self) -> None:
        """Refuse options that contradict each other, in Exim's words."""
        name = self.name
        wrong = ""
        if self.return_output and self.return_fail_output:
            wrong = f"both return_output and return_fail_output set for {name} transport"
        elif self.log_output and self.log_fail_output:
            wrong = f"both log_output and log_fail_output set for the {name} transport"
        elif self.use_shell and self.allow_commands is not None:
            wrong = f"both allow_commands and use_shell set for {name} transport"
        elif self.use_shell and self.restrict_to_path:
            wrong = f"both restrict_to_path and use_shell set for {name} transport"
        elif self.temp_errors != "*" and None in self.temporary:
            wrong = "temp_errors must be a list of numbers or an asterisk"
            wrong += f" for the {name} transport"
        if wrong:
            raise ConfigError(self.block.where, wrong)

    def deliver(self, ctx: Context, parcel: Parcel) -> list[Outcome]:
        """Run the command, and say of the recipients what its end means."""
        return _Delivery(self, ctx, parcel).run()


def _codes(text: str) -> Iterator[int | None]:
    """The numbers of a list; None stands for what is none."""
    for item in text.split(":"):
        if item := trim(item):
            yield int(item) if is_number(item) and len(item) < 10 else None


class _Delivery:
    """One command for one parcel."""

    __slots__ = ("ctx", "parcel", "pipe", "text", "what")

    def __init__(self, pipe: Pipe, ctx: Context, parcel: Parcel) -> None:
        self.pipe, self.ctx, self.parcel = pipe, ctx, parcel
        self.what = f"{pipe.name} transport"
        self.text = ""  # the command as it stands in the configuration or in a list

    def run(self) -> list[Outcome]:
        """Run the command; an outcome for each recipient, the first one with all details."""
        pipe, ctx, parcel = self.pipe, self.ctx, self.parcel
        pipe.settle(ctx)
        sender = ctx.message.return_path = pipe.sender(ctx, parcel)
        arguments = self._arguments()
        stream = self._stream(sender)
        started = Command(arguments, self._environment(), pipe.umask, pipe.permit_coredump)
        given = self._given(stream, sender)
        try:
            ended = command.run(started, given, seconds=pipe.timeout, limit=pipe.max_output)
        except OSError:
            ended = Ended(EXIT_EXEC, b"")
            if pipe.freeze_exec_fail:
                text = f'pipe process failed to exec "{self.text}"'
                return self._all(Outcome("", Result.DEFER, text, "4.3.0", freeze=True))
        return self._all(self._judge(ended, arguments[0]))

    def _all(self, first: Outcome) -> list[Outcome]:
        rest = replace(first, output="", note="")
        return [
            (rest if number else first).about(recipient.address)
            for number, recipient in enumerate(self.parcel.recipients)
        ]

    # ---- what is run

    def _arguments(self) -> list[str]:
        pipe = self.pipe
        named = self._named() if self.parcel.pipe else ""
        line = pipe.line
        if named and not pipe.force_command:
            self.text, line = named, None
        elif line is None:
            raise TempFail(f"no command specified for {self.what}")
        else:
            self.text = line.text
        if pipe.use_shell:
            return [SHELL, "-c", named if line is None else self._whole()]
        if line is None:
            arguments = lines.split(named)
        else:
            addresses = [recipient.address for recipient in self.parcel.recipients]
            addresses = [f"|{named}"] if named else addresses
            wrapped = lines.split(named)
            arguments = lines.arguments(
                self.ctx, line, addresses, self.what, address_pipe=wrapped
            )
        if not arguments or not arguments[0]:
            raise TempFail(f"no command specified for {self.what}")
        arguments[0] = self._found(arguments[0])
        return arguments

    def _named(self) -> Trusted:
        """The command that a redirection named.  It is not expanded."""
        named = self.parcel.pipe
        where = self.pipe.block.where
        if "\0" in named:
            raise PermFail(f"NUL in an argument for {self.what} command")
        return require(named, f"command for {self.what}", where)

    def _whole(self) -> str:
        """The command line for the shell."""
        option = self.pipe.script
        assert option is not None
        try:
            text = expand(self.ctx, option)
        except ExpansionFail as failure:
            raise TempFail(
                f'Expansion of command "{option.text}" in {self.what} failed: {failure.text}'
            ) from failure
        lines.refuse_strangers(text, 2, self.what)
        return text

    def _found(self, name: str) -> str:
        pipe = self.pipe
        allowed = None
        if pipe.allow_commands is not None:
            listed = pipe.value(self.ctx, pipe.allow_commands, "allow_commands") or ""
            allowed = split_list(require(listed, "allow_commands", pipe.block.where))
        lines.require_permitted(name, allowed, only_path=pipe.restrict_to_path, what=self.what)
        return lines.find(name, self._path(), self.what)

    def _path(self) -> Trusted:
        pipe = self.pipe
        return require(pipe.value(self.ctx, pipe.path, "path") or "", "path", pipe.block.where)

    def _environment(self) -> dict[str, str]:
        """Exim's variables, then those of the option; a later one takes an earlier's place."""
        ctx, place = self.ctx, self.ctx.place
        naming = ctx.conf.naming
        whole = f"{place.local_part_prefix}{place.local_part}{place.local_part_suffix}"
        made = {
            "LOCAL_PART": place.local_part,
            "LOGNAME": place.local_part,
            "USER": place.local_part,
            "LOCAL_PART_PREFIX": place.local_part_prefix,
            "LOCAL_PART_SUFFIX": place.local_part_suffix,
            "DOMAIN": place.domain,
            "HOME": place.home or "",
            "MESSAGE_ID": self.parcel.message_id,
            "PATH": self._path(),
            "RECIPIENT": f"{whole}@{place.domain}",
            "QUALIFY_DOMAIN": naming.qualify_domain or naming.primary_hostname,
            "SENDER": ctx.message.sender,
            "SHELL": SHELL,
        }
        if place.host:
            made["HOST"] = place.host
        made.update(self._more_environment())
        return {name: text.replace("\0", "") for name, text in made.items()}

    def _more_environment(self) -> Iterator[tuple[str, str]]:
        """What the option adds.

        A stranger's text may be a value, but the name must then stand in the option itself: a
        colon in a subject cannot set LD_PRELOAD.
        """
        option = self.pipe.environment
        text = self.pipe.value(self.ctx, option, "environment")
        if option is None or not text:
            return
        for item in split_list(text):
            name, mark, content = item.partition("=")
            if mark and name and (is_trusted(text) or f"{name}=" in option.text):
                yield name, content

    # ---- what it is given

    def _stream(self, sender: str) -> Stream:
        pipe = self.pipe
        try:
            return pipe.stream(self.ctx, self.parcel, sender)
        except FilterTimeout as failure:
            text = "transport filter timeout while writing to pipe"
            if pipe.timeout_defer:
                raise TempFail(text) from failure
            raise PermFail(text, told=FAILED) from failure

    def _given(self, stream: Stream, sender: str) -> Iterator[bytes]:
        pipe, ctx = self.pipe, self.ctx
        prefix = pipe.value(ctx, pipe.message_prefix, "message_prefix") or ""
        suffix = pipe.value(ctx, pipe.message_suffix, "message_suffix") or ""
        return self._parts(stream, sender, to_bytes(prefix), to_bytes(suffix))

    def _parts(
        self, stream: Stream, sender: str, prefix: bytes, suffix: bytes
    ) -> Iterator[bytes]:
        pipe = self.pipe
        yield prefix
        if pipe.use_bsmtp:
            recipients = [pipe.recipient_text(each) for each in self.parcel.recipients]
            yield from batch_smtp(stream, sender, recipients, crlf=pipe.use_crlf)
        else:
            check, escape = to_bytes(pipe.check_string), to_bytes(pipe.escape_string)
            parts = escaped(chunks(stream), check, escape) if escape else chunks(stream)
            yield from with_crlf(parts) if pipe.use_crlf else parts
        yield suffix

    # ---- what its end means

    def _judge(self, ended: Ended, name: str) -> Outcome:
        pipe = self.pipe
        returns = bool(self.ctx.message.sender)  # a bounce gets no bounce
        outcome = self._verdict(ended, name, returned=pipe.return_output and returns)
        if not ended.output:
            return outcome
        fails, waits = outcome.result is Result.FAIL, outcome.result is Result.DEFER
        logs = (fails and pipe.log_fail_output) or (waits and pipe.log_defer_output)
        if pipe.log_output or logs:
            first = ended.output.partition(b"\n")[0].partition(b"\0")[0]
            outcome = replace(
                outcome, note=f"{self.what} output: {to_text(first.rstrip(_BLANK))}"
            )
        if pipe.return_output and returns and outcome.result is Result.DONE:
            fails = True
            text = "return message generated"
            outcome = replace(outcome, result=Result.FAIL, text=text, told="")
        if fails and returns and (pipe.return_output or pipe.return_fail_output):
            outcome = replace(outcome, output=_returned(ended))
        return outcome

    def _verdict(self, ended: Ended, name: str, *, returned: bool) -> Outcome:
        """What the exit code says, before the output is looked at."""
        pipe = self.pipe
        fail = Outcome("", Result.FAIL, status="5.3.0", told=FAILED)
        if ended.timed_out:
            text = "pipe delivery process timed out"
            if pipe.timeout_defer:
                return Outcome("", Result.DEFER, text, "4.3.0")
            return replace(fail, text=text)
        if ended.code < 0:
            text = (
                f'Child process of {self.what} (running command "{self.text}") was'
                f" terminated by signal {-ended.code} ({_signal(-ended.code)})"
            )
            if pipe.freeze_signal:
                return Outcome("", Result.DEFER, text, "4.3.0", freeze=True)
            if not pipe.ignore_status:
                return replace(fail, text=text)
        elif ended.code and not pipe.ignore_status:
            text = (
                f"Child process of {self.what} returned {ended.code}{_meaning(ended.code)}"
                f" from command: {name}"
            )
            passes = pipe.temp_errors == "*" or ended.code in pipe.temporary
            if passes and not (returned and ended.output):
                return Outcome("", Result.DEFER, text, "4.3.0")
            return replace(fail, text=text)
        return Outcome("", Result.DONE)


def _meaning(code: int) -> str:
    """What an exit code could mean, as the log says it."""
    if code > 128:
        number = code - 128
        return f" (could mean shell command ended by signal {number} ({_signal(number)}))"
    return f" (could mean {_MEANINGS[code]})" if code in _MEANINGS else ""


def _signal(number: int) -> str:
    """The system's name of a signal."""
    try:
        return signal.strsignal(number) or f"Unknown signal {number}"
    except ValueError:
        return f"Unknown signal {number}"


def _returned(ended: Ended) -> str:
    """The output as it stands in a bounce."""
    output = ended.output.replace(b"\0", b"")
    more = ended.said_too_much or len(output) > MOST_RETURNED
    return to_text(output[:MOST_RETURNED]) + (TOO_MUCH if more else "")
