"""Answer messages with messages: holiday notices, receipts.

Runs as the recipient.  The answer is an ordinary message that this user hands in, with the
null sender, so that nobody answers it in turn, and with Auto-Submitted: (RFC 3834).  Whoever
has left no address to answer to, as a bounce has not, gets no answer; that is a success.

Nothing in the message that is answered can put a line of its own into the headers: what comes
out of an expansion there must be printable, a line end only with white space behind it.

Order: the answer is handed in, then it is remembered and logged.  A crash in between answers
twice.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass

from mta.base import clock
from mta.base.errors import ConfigError, ExpansionFail, PermFail, TempFail, describe
from mta.base.text import one_line, to_bytes, to_text, trim
from mta.base.trust import Trusted
from mta.config import kinds
from mta.config.option import Option
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand, expand_text
from mta.expand.trust import keep
from mta.mail import header
from mta.mail.address import AddressError, parse_list
from mta.match.address import match_address
from mta.transport.api import Outcome, Parcel, Result
from mta.transport.engine import Transport, for_all, transport
from mta.transport.headers import lines
from mta.transport.once import Once
from mta.transport.writing import Stream, chunks
from mta.unix.files import write_all

MOST_TEXT = 1 << 20  # octets of a file that is sent
MOST_RECIPIENTS = 100
MOST_REFERENCES = 20
_BUFFER = 8192
_ID = re.compile(r"<[!-;=?-~]{1,500}>")
_UNPRINTABLE = re.compile(rb"\n(?![ \t])|[\0-\x08\x0b-\x1f\x7f-\xff]")


@dataclass(frozen=True, slots=True)
class _Answer:
    """The parts of an answer: header texts by name, in their order, and who gets it."""

    headers: tuple[tuple[str, str], ...]
    more: bytes
    recipients: tuple[str, ...]
    to: str


@transport("autoreply")
class Autoreply(Transport):
    """Answer messages."""

    to = Option(kinds.expanded, "", "Who gets the answer: the header To:.")
    cc = Option(kinds.expanded, "", "Who else gets it: the header Cc:.")
    bcc = Option(kinds.expanded, "", "Who else gets it without being named.")
    from_ = Option(kinds.expanded, "", "The header From:; unset means the user.")
    reply_to = Option(kinds.expanded, "", "The header Reply-To:.")
    subject = Option(kinds.expanded, "", "The header Subject:.")
    headers = Option(kinds.expanded, "", "More headers, \\n between them.")
    text = Option(kinds.expanded, "", "The text of the answer.")
    file = Option(kinds.expanded, "", "A file whose contents follow the text.")
    file_expand = Option(kinds.boolean, "false", "Expand each line of that file.")
    file_optional = Option(kinds.boolean, "false", "A file that cannot be read is none.")
    return_message = Option(kinds.boolean, "false", "Add a copy of the message.")
    once = Option(kinds.expanded, "", "A file that remembers who was answered.")
    once_repeat = Option(kinds.expanded, "0s", "When to answer the same again; 0 for never.")
    once_file_size = Option(
        kinds.integer,
        "0",
        "How large that file may get; the oldest are forgotten. 0: any size.",
    )
    log = Option(kinds.expanded, "", "A file that a record of each answer is written to.")
    mode = Option(kinds.octal, "0600", "The permissions of the files it makes.")
    never_mail = Option(kinds.address_list, "", "Addresses that never get an answer.")

    def deliver(self, ctx: Context, parcel: Parcel) -> list[Outcome]:
        """Answer the message, unless nobody is to be answered."""
        self.settle(ctx)
        _Delivery(self, ctx, parcel).run()
        return for_all(parcel, Outcome("", Result.DONE))


class _Delivery:
    """One answer."""

    __slots__ = ("ctx", "parcel", "reply", "what")

    def __init__(self, reply: Autoreply, ctx: Context, parcel: Parcel) -> None:
        self.reply, self.ctx, self.parcel = reply, ctx, parcel
        self.what = f"{reply.name} transport"

    def run(self) -> None:
        """Make it, hand it in, remember it.  Raises TempFail, PermFail."""
        reply = self.reply
        answer = self._answer()
        repeat = self._repeat()
        log = self._path(reply.log, "log")
        if not answer.recipients:
            return
        name = self._path(reply.once, "once")
        once = Once(name, reply.once_file_size, reply.mode, self.what) if name else None
        try:
            if once is not None and once.knows(answer.to, repeat):
                self._note(log, f"  previously sent to {one_line(answer.to)}\n")
                return
            reply.submit(answer.recipients, b"".join(self._octets(answer)))
            if once is not None:
                once.remember(answer.to)
        finally:
            if once is not None:
                once.close()
        self._note(log, _record(answer))

    # ---- what is said

    def _answer(self) -> _Answer:
        reply = self.reply
        addressed = {}
        recipients: dict[str, None] = {}
        for name, option in (("To", reply.to), ("Cc", reply.cc), ("Bcc", reply.bcc)):
            addressed[name] = self._wanted(self._header(option), recipients)
        headers = [
            ("From", self._header(reply.from_)),
            ("Reply-To", self._header(reply.reply_to)),
            *addressed.items(),
            ("Subject", self._header(reply.subject)),
        ]
        more = self._text(reply.headers)
        return _Answer(
            tuple((name, text) for name, text in headers if text),
            lines(more, f"headers of {self.what}") if more else b"",
            tuple(recipients),
            addressed["To"],
        )

    def _wanted(self, text: str, recipients: dict[str, None]) -> str:
        """The addresses of a header without those that never get an answer."""
        if not trim(text):
            return ""
        never = self.reply.never_mail
        try:
            found = parse_list(text, limit=MOST_RECIPIENTS)
        except AddressError as error:
            reason = f"Failed to send message from {self.what}: {error}"
            raise TempFail(reason) from error
        kept = [
            address
            for address in found
            if never is None or not match_address(self.ctx, never, address)
        ]
        recipients.update(dict.fromkeys(kept))
        return text if len(kept) == len(found) else ", ".join(kept)

    def _header(self, option: Template | None) -> str:
        """The text of a header.  Raises PermFail for what no header can hold."""
        text = self._text(option).rstrip("\n")
        if found := _UNPRINTABLE.search(to_bytes(text)):
            raise PermFail(
                f'Expansion of "{_shown(text)}" in {self.what} contains non-printing'
                f" character {found[0][0]}",
                told="",
            )
        return text

    def _text(self, option: Template | None) -> str:
        if option is None:
            return ""
        try:
            return expand(self.ctx, option)
        except ExpansionFail as failure:
            raise PermFail(
                f'Expansion of "{option.text}" failed in {self.what}: {failure.text}', told=""
            ) from failure

    def _path(self, option: Template | None, name: str) -> Trusted | None:
        text = self._text(option)
        return self.reply.checked_path(text, name) if text else None

    def _repeat(self) -> int:
        text = self._text(self.reply.once_repeat)
        try:
            return kinds.parse_time(text, None) if text else 0
        except ConfigError:
            raise PermFail(
                f'Invalid time value "{text}" for "once_repeat" in {self.what}', told=""
            ) from None

    def _octets(self, answer: _Answer) -> Iterator[bytes]:
        """The whole answer."""
        text, path = self._text(self.reply.text), self._path(self.reply.file, "file")
        for name, content in answer.headers:
            if name != "Bcc":
                yield to_bytes(f"{name}: {content}\n")
        yield from self._references()
        yield b"Auto-Submitted: auto-replied\n"
        yield answer.more
        yield b"\n"
        if text:
            yield to_bytes(text if text.endswith("\n") else f"{text}\n")
        if path is not None:
            yield from self._contents(path)
        if self.reply.return_message:
            yield from self._copy()

    def _references(self) -> Iterator[bytes]:
        """What it refers to.  RFC 5322 3.6.4"""
        own = self._ids("message-id")[:1]
        if own:
            yield to_bytes(f"In-Reply-To: {own[0]}\n")
        earlier = self._ids("references") or self._ids("in-reply-to")
        if ids := [*earlier[:1], *earlier[1:][-MOST_REFERENCES:], *own]:
            between = "\n " if len(ids) > 3 else " "
            yield to_bytes(f"References: {between.join(ids)}\n")

    def _ids(self, name: str) -> list[str]:
        found = header.first(self.ctx.message.headers, name)
        return _ID.findall(to_text(found.body)) if found else []

    def _contents(self, path: Trusted) -> Iterator[bytes]:
        """The file, line by line; a line that cannot be expanded stands as it is."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            with open(fd, "rb") as file:
                octets = file.read(MOST_TEXT)
        except OSError as error:
            if self.reply.file_optional:
                return
            raise TempFail(
                f"Failed to open file {path} when sending message from {self.what}: "
                f"{describe(error)}",
                code=error.errno or 0,
            ) from error
        for line in octets.removesuffix(b"\n").split(b"\n") if octets else ():
            yield self._expanded(path, line) + b"\n"

    def _expanded(self, path: Trusted, line: bytes) -> bytes:
        if not self.reply.file_expand:
            return line
        where = self.reply.block.where
        try:
            return to_bytes(expand_text(self.ctx, keep(path, to_text(line)), where))
        except ExpansionFail:
            return line

    def _copy(self) -> Iterator[bytes]:
        """The message that is answered, with a line that says what it is."""
        reply, ctx, parcel = self.reply, self.ctx, self.parcel
        limit = ctx.conf.delivery.bounce_return_size_limit
        stream = reply.stream(ctx, parcel, reply.sender(ctx, parcel))
        what = "the message, including all the headers"
        if reply.body_only:
            what = "the body of the message, without the headers"
        elif reply.headers_only:
            what = "the message's header lines"
        yield to_bytes(f"\n------ This is a copy of {what}.\n")
        most = (limit // _BUFFER + 1) * _BUFFER
        if limit > 0 and most < stream.body_size:
            yield to_bytes(
                f"------ The body of the message is {stream.body_size} characters long;"
                f" only the first\n------ {most // 1000 * 1000} or so are included here.\n"
            )
            stream = Stream(
                stream.headers, stream.body, stream.body_offset, most, stream.between
            )
        yield b"\n"
        yield from chunks(stream)

    # ---- what is kept

    def _note(self, path: Trusted | None, text: str) -> None:
        """Write a record; that it cannot be written is no reason to answer again."""
        if path is None:
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            fd = os.open(path, flags, self.reply.mode)
        except OSError:
            return
        try:
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(clock.now()))
            write_all(fd, to_bytes(f"{stamp}\n{text}"))
        except OSError:
            return
        finally:
            os.close(fd)


def _record(answer: _Answer) -> str:
    """An answer in the log of answers."""
    shown = [f"  {name}: {one_line(text)}\n" for name, text in answer.headers]
    return "".join(shown) + "".join(
        f"  {one_line(line)}\n" for line in to_text(answer.more).split("\n") if line
    )


def _shown(text: str) -> str:
    """Text with octets that cannot be printed as in C."""
    marks = {10: "\\n", 13: "\\r", 9: "\\t"}
    return "".join(
        chr(octet) if 32 <= octet < 127 else marks.get(octet, f"\\{octet:03o}")
        for octet in to_bytes(text)
    )
