"""One LMTP conversation with a local program, over a socket: RFC 2033.

It goes step by step, as SMTP without pipelining does, until the final dot.  After that there
is an answer for each recipient that was taken, in their order: some may have the message for
good while others have to wait or fail.  Recipients whose answer is lost are deferred and may
get the message twice, which is better than never.

Raises:   TempFail and PermFail for what is true of all recipients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mta.base.errors import PermFail, TempFail
from mta.base.text import upper
from mta.net.socket import Link
from mta.smtp.client import Answer, Broken, Client, Trouble
from mta.transport.api import Outcome, Result
from mta.transport.smtp_session import DATA_4XX, MAIL_4XX, MALFORMED, RCPT_4XX, one_line_answer
from mta.transport.writing import Stream, for_smtp

UNKNOWN = -1  # the number that Exim's retry records have for it


@dataclass(frozen=True, slots=True)
class Letter:
    """What is sent: `recipients` are (key, RCPT address) pairs."""

    hello: str
    sender: str
    recipients: Sequence[tuple[str, str]]
    stream: Stream
    ignore_quota: bool


def converse(link: Link, letter: Letter, seconds: float) -> list[Outcome]:
    """Send a message and say what became of each recipient; `seconds` bound each step."""
    conversation = _Conversation(Client(link), seconds)
    try:
        return conversation.run(letter)
    finally:
        conversation.leave()


class _Conversation:
    __slots__ = ("_client", "_is_lost", "_seconds")

    def __init__(self, client: Client, seconds: float) -> None:
        self._client = client
        self._seconds = seconds
        self._is_lost = False

    def leave(self) -> None:
        """Say QUIT if anybody is there to hear it, and close."""
        if self._is_lost:
            self._client.close()
        else:
            self._client.quit()

    def run(self, letter: Letter) -> list[Outcome]:
        """The whole of it."""
        self._require("initial connection", 2, UNKNOWN)
        said = f"LHLO {letter.hello}"
        greeting = self._require(said, 2, UNKNOWN, command=said)
        quota = " IGNOREQUOTA" if letter.ignore_quota and _may_ignore_quota(greeting) else ""
        said = f"MAIL FROM:<{letter.sender}>"
        self._require(said, 2, MAIL_4XX, command=said)
        done: dict[str, Outcome] = {}
        accepted: list[str] = []
        for key, address in letter.recipients:
            said = f"RCPT TO:<{address}>"
            answer = self._answer(said, command=said + quota)
            if answer.kind == 2:
                accepted.append(key)
            else:
                done[key] = self._refused(answer, said, RCPT_4XX)
        if accepted:
            self._require("DATA", 3, DATA_4XX, command="DATA")
            self._send(letter.stream)
            self._take_answers(accepted, done)
        return [done[key].about(key) for key, _ in letter.recipients]

    def _send(self, stream: Stream) -> None:
        try:
            for chunk in for_smtp(stream):
                self._client.send([chunk], self._seconds)
        except Broken as broken:
            raise self._trouble(broken, "sending data block") from broken

    def _take_answers(self, accepted: list[str], done: dict[str, Outcome]) -> None:
        """The answer for each recipient after the dot."""
        for number, key in enumerate(accepted):
            try:
                answer = self._answer("end of data")
            except TempFail as failure:
                lost = Outcome("", Result.DEFER, failure.text, "4.4.2", failure.code)
                done.update(dict.fromkeys(accepted[number:], lost))
                return
            if answer.kind == 2:
                text = one_line_answer(answer)
                done[key] = Outcome("", Result.DONE, text, answer.status)
            else:
                done[key] = self._refused(answer, "end of data", DATA_4XX)

    def _answer(self, said: str, command: str = "") -> Answer:
        """The answer to a command.  Raises TempFail where there is none."""
        try:
            if command:
                return self._client.command(command, self._seconds)
            return self._client.answer(self._seconds)
        except Broken as broken:
            raise self._trouble(broken, said) from broken

    def _require(self, said: str, kind: int, code: int, command: str = "") -> Answer:
        """An answer of this kind.  Raises TempFail, PermFail for another."""
        answer = self._answer(said, command)
        if answer.kind == kind:
            return answer
        refused = self._refused(answer, said, code)
        if refused.result is Result.FAIL:
            raise PermFail(refused.text, status=refused.status, told="")
        raise TempFail(refused.text, status=refused.status, code=refused.code)

    def _refused(self, answer: Answer, said: str, code: int) -> Outcome:
        text = f"LMTP error after {said}: {one_line_answer(answer)}"
        result = Result.FAIL if answer.kind == 5 else Result.DEFER
        number = 0 if answer.kind == 5 else code
        return Outcome("", result, text, answer.status, number)

    def _trouble(self, broken: Broken, said: str) -> TempFail:
        """The failure of a conversation that cannot go on."""
        self._is_lost = True
        code = UNKNOWN
        match broken.trouble:
            case Trouble.TIMEOUT:
                text = f"LMTP timeout after {said}"
            case Trouble.CLOSED:
                text = f"LMTP connection closed after {said}"
            case Trouble.MALFORMED:
                text, code = f"Malformed LMTP response after {said}: {broken.text}", MALFORMED
            case Trouble.SYSTEM:
                text, code = f"LMTP error after {said}", broken.number
        return TempFail(text, status="4.4.2", code=code)


def _may_ignore_quota(greeting: Answer) -> bool:
    lines = [upper(line[4:]).partition(" ")[0] for line in greeting.text.split("\n")[1:]]
    return "IGNOREQUOTA" in lines
