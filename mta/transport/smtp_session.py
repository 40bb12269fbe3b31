"""One connection to one mail server, and the transactions that go over it.

What a failure means follows RFC 5321 and Exim (chapter "Errors in outgoing SMTP"):

    the host's         no connection, refused greeting or EHLO, a connection that is lost
    the message's      refused MAIL, DATA or end of data; silence after MAIL or the final dot
    the recipient's    refused RCPT, silence after RCPT

5xx fails for good, everything else is tried again later.  Once the final dot is on its way a
lost connection leaves open whether the message was taken: it is deferred and may arrive twice,
which is better than never.

Raises:   Stopped for whatever ends a transaction for all its remaining recipients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from mta.base import clock
from mta.base.errors import MtaError, TempFail, describe
from mta.net import socket
from mta.net.secrecy import Secrecy
from mta.net.tls_terms import Facts
from mta.smtp import author
from mta.smtp.client import Answer, Broken, Client, Trouble, command_line
from mta.transport.api import Outcome, Result
from mta.transport.smtp_auth import AUTH_FAIL, Login, Unable, Wish
from mta.transport.smtp_tls import TLS_FAILURE, TLS_REQUIRED, USUAL, Terms, judged
from mta.transport.writing import Stream, for_smtp

# The numbers that Exim's retry records have for these.
CLOSED = -18
MALFORMED = -19
RCPT_4XX = -44
MAIL_4XX = -45
DATA_4XX = -46

# After these the server takes more recipients in another transaction.  RFC 5321 4.5.3.1.10
_TOO_MANY = (452, 552)
_CLOSING = 421
ENCRYPTED = Answer(220, "", "220 TLS")  # after a handshake the server waits for EHLO
_REFUSALS = (4, 5)  # first digits


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for what, in seconds."""

    connect: float
    command: float
    data: float
    final: float


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connection goes, and as whom: two that are equal can share one."""

    name: str
    address: str
    port: int
    interface: str
    helo: str
    identity: bytes = b""  # what smtp_auth makes of whom we say that we are
    is_lmtp: bool = False  # RFC 2033
    tls: Terms = USUAL


@dataclass(frozen=True, slots=True)
class Mail:
    """What one transaction sends: `recipients` are (key, RCPT address) pairs.

    `wishes` are for servers that know DSN (RFC 3461): the parameters of MAIL, under the key
    "", and those of RCPT under the keys of the recipients, each with a blank before it.
    `author` is for AUTH=, which goes to a server that knows us, or is `forced` on any.
    """

    sender: str
    recipients: tuple[tuple[str, str], ...]
    stream: Stream
    size: int | None  # None: do not tell
    is_8bit: bool
    wishes: dict[str, str] = field(default_factory=dict)
    author: str = ""
    forced: bool = False
    ignore_quota: bool = False  # LMTP only


class Stopped(MtaError):
    """A transaction, or the attempt to get a connection, has ended with this outcome.

    `usable`: the connection can carry another message.  `in_doubt`: the server may have taken
    the message all the same.  `remarks` are more lines for the log.
    """

    def __init__(
        self,
        outcome: Outcome,
        *,
        usable: bool = False,
        in_doubt: bool = False,
        remarks: Sequence[str] = (),
    ) -> None:
        self.remarks = tuple(remarks)
        self.outcome = outcome
        self.usable = usable
        self.in_doubt = in_doubt
        super().__init__(outcome.text)


class Session:
    """A connection after its greeting."""

    __slots__ = (
        "_client",
        "_needs_reset",
        "_secrecy",
        "_times",
        "authenticated",
        "carried",
        "facts",
        "idle_since",
        "place",
        "remarks",
    )

    def __init__(
        self,
        place: Place,
        times: Timeouts,
        secrecy: Secrecy,
        *,
        keepalive: bool = True,
        wish: Wish | None = None,
    ) -> None:
        """Connect, greet, and say who we are if that is wished for.  Raises Stopped."""
        self._secrecy = secrecy
        self.facts: Facts | None = None  # how it is encrypted
        self.place = place
        self.authenticated = ""  # for A= in the log
        self.remarks: list[str] = []  # other lines for the log
        self.carried = 0  # messages before the present one
        self.idle_since = 0.0
        self._times = times
        self._needs_reset = False
        self._client = self._connect(keepalive=keepalive)
        try:
            if place.tls.at_once:
                self._secure()
            self._greet()
            if place.tls.use and not place.tls.at_once:
                self._start_tls()
            if wish is not None:
                wish.ctx.tls_out = self.facts
                self._log_in(wish)
        except BaseException:
            self._client.close()
            raise

    def _connect(self, *, keepalive: bool) -> Client:
        place = self.place
        deadline = clock.monotonic() + self._times.connect
        try:
            link = socket.connect(
                place.address,
                place.port,
                deadline,
                interface=place.interface,
                keepalive=keepalive,
            )
        except OSError as error:
            outcome = self._outcome(Result.DEFER, describe(error), code=error.errno or 0)
            raise Stopped(replace(outcome, host_error=True)) from error
        return Client(link)

    def _greet(self, *, again: bool = False) -> None:
        """Wait for the greeting, then say EHLO, and HELO to a server that refuses that."""
        said, seen = "initial connection", ""
        helo, wait = self.place.helo, self._times.command
        try:
            answer = ENCRYPTED if again else self._client.answer(wait)
            if answer.kind == 2:
                verb = "LHLO" if self.place.is_lmtp else "EHLO"
                said = f"{verb} {helo}"
                answer = self._client.hello(helo, wait, verb)
                if answer.kind != 2 and answer.code != _CLOSING and verb == "EHLO":
                    said, seen = (
                        f"HELO {helo}",
                        f" (EHLO response was: {one_line_answer(answer)})",
                    )
                    answer = self._client.command(said, wait)
        except Broken as broken:
            raise self._lost(broken, said + seen) from broken
        if answer.kind != 2:
            self._client.quit()
            raise Stopped(replace(self._refused(answer, said), host_error=True))

    def _log_in(self, wish: Wish) -> None:
        login = Login(self._client, wish, self._times.command)
        try:
            login.attempt()
        except Unable as unable:
            if unable.broken is not None:
                raise self._lost(unable.broken, unable.said, login.remarks) from None
            self._client.quit()
            if unable.answer is not None:
                outcome = replace(self._refused(unable.answer, unable.said), host_error=True)
            else:
                outcome = self._outcome(Result.DEFER, unable.text, code=unable.code)
                outcome = replace(outcome, host_error=unable.code == AUTH_FAIL)
            raise Stopped(outcome, remarks=login.remarks) from None
        self.authenticated, self.remarks = login.who, login.remarks

    def _start_tls(self) -> None:
        """Go on in secret if the server offers that, or if it must."""
        terms = self.place.tls
        if not self._client.features.has("STARTTLS"):
            if terms.required:
                raise self._not_secret("the server did not offer TLS support")
            return
        try:
            answer = self._client.command("STARTTLS", self._times.command)
        except Broken as broken:
            raise self._lost(broken, "STARTTLS") from broken
        if answer.kind == 2:
            self._secure()
            self._greet(again=True)
        elif answer.kind == 4 and not terms.try_clear:
            self._client.quit()
            refused = self._refused(answer, "STARTTLS")
            raise Stopped(replace(refused, host_error=True))
        elif terms.required:
            raise self._not_secret("an attempt to start TLS failed")

    def _secure(self) -> None:
        """The handshake."""
        place, terms = self.place, self.place.tls
        name = terms.name or place.name
        try:
            facts = self._client.secure(
                self._secrecy.load(), terms.settings, self._times.command, name
            )
            self.facts = judged(facts, terms, place.name)
        except (OSError, TempFail) as error:
            why = "timed out" if isinstance(error, TimeoutError) else str(error)
            text = f"TLS session: (SSL_connect): {why}"
            outcome = self._outcome(Result.DEFER, text, status="4.7.5", code=TLS_FAILURE)
            raise Stopped(replace(outcome, host_error=True)) from error

    def _not_secret(self, why: str) -> Stopped:
        self._client.quit()
        text = f"a TLS session is required, but {why}"
        outcome = self._outcome(Result.DEFER, text, status="4.7.4", code=TLS_REQUIRED)
        return Stopped(replace(outcome, host_error=True))

    def is_fresh(self, now: float, longest: float) -> bool:
        """True if it can carry another message: not idle for long, and not closed."""
        return now - self.idle_since <= longest and self._client.is_quiet()

    def leave(self) -> None:
        """Say QUIT and close."""
        self._client.quit()

    def drop(self) -> None:
        """Close without a word: the conversation is at a loss."""
        self._client.close()

    def carry(self, mail: Mail, done: dict[str, Outcome]) -> None:
        """One transaction.  What is known of a recipient is put into `done`.

        A recipient that is not in it afterwards should be tried again in another transaction.
        """
        said = f"MAIL FROM:<{mail.sender}>{self._parameters(mail)}"
        commands = [
            command_line(said),
            *(command_line(self._recipient(mail, *each)) for each in mail.recipients),
            b"DATA\r\n",
        ]
        self._send_ahead(commands, said)
        self._reset()
        self._needs_reset = True
        self._begin(commands, said)
        accepted, overflow = self._name_recipients(mail, commands, done)
        if accepted:
            self._send_message(mail.stream, accepted, done)
        else:
            done.update(overflow)
            if self._pipelines:
                self._cancel()

    @property
    def _pipelines(self) -> bool:
        return self._client.features.has("PIPELINING")

    def _parameters(self, mail: Mail) -> str:
        features = self._client.features
        parameters = ""
        if mail.size is not None and features.size_limit is not None:
            parameters += f" SIZE={mail.size}"
        if mail.is_8bit and features.has("8BITMIME"):
            parameters += " BODY=8BITMIME"
        if mail.author and (self.authenticated or mail.forced):
            parameters += f" AUTH={author.encode(mail.author)}"
        return parameters + self._wishes(mail, "")

    def _wishes(self, mail: Mail, key: str) -> str:
        """Parameters of DSN, where the server knows them.  RFC 3461 5.2.1 and 5.2.2"""
        if not mail.wishes or not self._client.features.has("DSN"):
            return ""
        return mail.wishes.get(key, "")

    def _recipient(self, mail: Mail, key: str, address: str) -> str:
        quota = mail.ignore_quota and self._client.features.has("IGNOREQUOTA")
        words = self._wishes(mail, key) + (" IGNOREQUOTA" if quota else "")
        return f"RCPT TO:<{address}>{words}"

    def _send_ahead(self, commands: list[bytes], said: str) -> None:
        """With PIPELINING everything up to DATA goes out in one write.  RFC 2920"""
        if not self._pipelines:
            return
        ahead = [b"RSET\r\n", *commands] if self._needs_reset else commands
        try:
            self._client.send([b"".join(ahead)], self._times.command)
        except Broken as broken:
            raise self._lost(broken, self._shown(said)) from broken

    def _shown(self, said: str) -> str:
        return f"pipelined {said}" if self._pipelines else said

    def _ask(self, command: bytes) -> Answer:
        """The answer to a command, which is sent now unless it was sent ahead."""
        if not self._pipelines:
            self._client.send([command], self._times.command)
        return self._client.answer(self._times.command)

    def _reset(self) -> None:
        if not self._needs_reset:
            return
        try:
            self._ask(b"RSET\r\n")
        except Broken as broken:
            raise self._lost(broken, "RSET") from broken

    def _begin(self, commands: list[bytes], said: str) -> None:
        shown = self._shown(said)
        try:
            answer = self._ask(commands[0])
        except Broken as broken:
            if broken.trouble is not Trouble.TIMEOUT:
                raise self._lost(broken, shown) from broken
            outcome = replace(self._broken(broken, shown), message_error=True)
            raise Stopped(outcome) from broken
        if answer.kind == 2:
            return
        outcome = replace(self._refused(answer, shown, MAIL_4XX), message_error=True)
        raise Stopped(outcome, usable=self._skip(answer, len(commands) - 2))

    def _skip(self, refusal: Answer, recipients: int) -> bool:
        """Read the answers to what was sent ahead; True if the connection can go on.

        A server that takes recipients though it refused the sender would deliver the empty
        message that ends its DATA: it does not get one.
        """
        if refusal.code == _CLOSING or refusal.kind not in _REFUSALS:
            return False
        try:
            if self._pipelines:
                for _ in range(recipients):
                    if self._client.answer(self._times.command).kind not in _REFUSALS:
                        return False
                self._cancel()
        except (Broken, Stopped):
            return False
        return True

    def _name_recipients(
        self, mail: Mail, commands: list[bytes], done: dict[str, Outcome]
    ) -> tuple[list[str], dict[str, Outcome]]:
        """Give the recipients: which were accepted, and which may be next time."""
        accepted: list[str] = []
        overflow: dict[str, Outcome] = {}
        for (key, address), command in zip(mail.recipients, commands[1:-1], strict=True):
            said = f"RCPT TO:<{address}>"
            try:
                answer = self._ask(command)
            except Broken as broken:
                if broken.trouble is Trouble.TIMEOUT:
                    raise Stopped(self._broken(broken, said)) from broken
                raise self._lost(broken, said) from broken
            if answer.kind == 2:
                accepted.append(key)
                continue
            if answer.kind not in _REFUSALS:
                # It answers something else than what was asked: nothing it says is for us.
                raise Stopped(self._refused(answer, said, RCPT_4XX))
            outcome = replace(self._refused(answer, said, RCPT_4XX), address=key)
            if answer.code in _TOO_MANY:
                overflow[key] = replace(outcome, result=Result.DEFER, code=RCPT_4XX)
            else:
                done[key] = outcome
        return accepted, overflow

    def _send_message(
        self, stream: Stream, accepted: list[str], done: dict[str, Outcome]
    ) -> None:
        said = self._shown("DATA")
        try:
            answer = self._ask(b"DATA\r\n")
        except Broken as broken:
            raise self._lost(broken, said) from broken
        if answer.kind != 3:
            outcome = replace(self._refused(answer, said, DATA_4XX), message_error=True)
            raise Stopped(outcome, usable=answer.kind > 3 and answer.code != _CLOSING)
        written = self._send_body(stream)
        if self.place.is_lmtp:
            self._take_answers(accepted, written, done)
            return
        said = "end of data"
        try:
            answer = self._client.answer(self._times.final)
        except Broken as broken:
            outcome = replace(self._broken(broken, said, written), message_error=True)
            raise Stopped(outcome, in_doubt=True) from broken
        if answer.kind != 2:
            outcome = replace(self._refused(answer, said, DATA_4XX), message_error=True)
            raise Stopped(outcome, usable=answer.code != _CLOSING)
        self._needs_reset = False
        confirmation = one_line_answer(answer)
        taken = self._outcome(Result.DONE, confirmation, status=answer.status)
        if self.authenticated:
            taken = replace(taken, authenticated=self.authenticated)
        if self._client.features.has("DSN"):
            taken = replace(taken, is_dsn_relayed=True)
        done.update((key, replace(taken, address=key)) for key in accepted)

    def _take_answers(
        self, accepted: list[str], written: int, done: dict[str, Outcome]
    ) -> None:
        """LMTP has an answer for each recipient, in their order.  RFC 2033 4.2"""
        for key in accepted:
            try:
                answer = self._client.answer(self._times.final)
            except Broken as broken:
                outcome = self._broken(broken, "end of data", written)
                raise Stopped(replace(outcome, message_error=True), in_doubt=True) from broken
            text = one_line_answer(answer)
            if answer.kind == 2:
                outcome = self._outcome(Result.DONE, text, status=answer.status)
                relays = self._client.features.has("DSN")
                outcome = replace(outcome, is_dsn_relayed=relays)
            else:
                refused = self._refused(answer, "DATA")
                outcome = replace(refused, text=f"LMTP error after DATA: {text}")
            done[key] = replace(outcome, address=key)
        self._needs_reset = any(done[key].result is not Result.DONE for key in accepted)

    def _send_body(self, stream: Stream) -> int:
        """Send the message with its final dot; the octets written."""
        written = 0
        for chunk in for_smtp(stream):
            try:
                self._client.send([chunk], self._times.data)
            except Broken as broken:
                outcome = self._broken(broken, "sending data block", written)
                is_last = chunk.endswith(b"\r\n.\r\n")
                raise Stopped(
                    replace(outcome, message_error=is_last, host_error=not is_last),
                    in_doubt=is_last,
                ) from broken
            written += len(chunk)
        return written

    def _cancel(self) -> None:
        """Deal with a DATA that was sent ahead and for which there are no recipients.

        A server that says 354 all the same gets an empty message.  RFC 2920 3.1
        """
        said = self._shown("DATA")
        try:
            if self._client.answer(self._times.command).kind == 3:
                self._client.send([b".\r\n"], self._times.command)
                self._client.answer(self._times.final)
        except Broken as broken:
            raise self._lost(broken, said) from broken

    # The words for what went wrong, as Exim has them.

    def _outcome(
        self, result: Result, text: str, *, status: str = "", code: int = 0
    ) -> Outcome:
        place, facts = self.place, self.facts
        return Outcome(
            "",
            result,
            text,
            status,
            code,
            host=place.name,
            host_address=place.address,
            port=place.port,
            reused=self.carried > 0,
            cipher="" if facts is None else str(facts),
            verified=facts is not None and facts.verified,
            peer="" if facts is None else facts.peer,
        )

    def _refused(self, answer: Answer, said: str, code: int = 0) -> Outcome:
        """The outcome of an answer that is not yes."""
        text = f"SMTP error from remote mail server after {said}: {one_line_answer(answer)}"
        result = Result.FAIL if answer.kind == 5 else Result.DEFER
        number = 0 if answer.kind == 5 else code
        outcome = self._outcome(result, text, status=answer.status, code=number)
        return replace(outcome, remote_text=answer.text)

    def _broken(self, broken: Broken, said: str, written: int = 0) -> Outcome:
        """The outcome of a conversation that cannot go on."""
        match broken.trouble:
            case Trouble.TIMEOUT:
                text, code = f"SMTP timeout after {said}", broken.number
                text += f" ({written} bytes written)" if written else ""
            case Trouble.MALFORMED if broken.text:
                text = f"Malformed SMTP reply in response to {said}: {broken.text}"
                code = MALFORMED
            case Trouble.MALFORMED:
                text = f"Malformed SMTP reply (an empty line) in response to {said}"
                code = MALFORMED
            case Trouble.CLOSED:
                text, code = f"Remote host closed connection in response to {said}", CLOSED
            case Trouble.SYSTEM:
                text, code = broken.text, broken.number
        return self._outcome(Result.DEFER, text, status="4.4.2", code=code)

    def _lost(self, broken: Broken, said: str, remarks: Sequence[str] = ()) -> Stopped:
        """The failure of a connection that is the host's fault."""
        outcome = replace(self._broken(broken, said), host_error=True)
        return Stopped(outcome, remarks=remarks)


def one_line_answer(answer: Answer) -> str:
    """An answer in one line, the line ends shown."""
    return answer.text.replace("\n", "\\n")


def is_one_word(address: str) -> bool:
    """True if an address can stand between angle brackets in a command."""
    return not any(character in address for character in "\r\n\0<>") or _quoted(address)


def _quoted(address: str) -> bool:
    """Angle brackets may stand in a quoted local part, line ends nowhere."""
    return address.startswith('"') and not any(each in address for each in "\r\n\0")
