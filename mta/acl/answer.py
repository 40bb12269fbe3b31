"""What is said when an ACL has decided: code, status and text, and the line for the log."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mta.acl.program import Action, Verdict

_CODE = re.compile(r"([2-5][0-9]{2})[ \t](?:([245]\.[0-9]{1,3}\.[0-9]{1,3})[ \t])?")
_USUAL = {
    Action.DENY: (550, "5.7.1", "Administrative prohibition"),
    Action.DROP: (550, "5.7.1", "Administrative prohibition"),
    Action.DEFER: (451, "4.7.1", "Temporary local problem - please try later"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as it was worked out from a verdict.  `wrong_code` tells of a code in a message
    that does not fit the verb: it is not used, and the panic log hears of it."""

    code: int
    status: str
    text: str
    log: str
    wrong_code: bool = False


def refusal(verdict: Verdict, denied: int = 550) -> Answer:
    """How a denial or deferral is put; `denied` is the usual code of a denial."""
    code, status, text = _USUAL[verdict.action]
    code = code if verdict.action is Action.DEFER else denied
    if verdict.action is Action.DEFER and not verdict.message:
        status = "4.3.0"
    if not verdict.message:
        return Answer(code, verdict.status or status, text, verdict.log)
    return _worded(code, verdict.status or status, verdict)


def acceptance(verdict: Verdict, code: int, status: str, text: str) -> Answer:
    """How an acceptance is put; an accept verb may have words of its own."""
    if not verdict.message:
        return Answer(code, status, text, "")
    return _worded(code, status, verdict)


def _worded(code: int, status: str, verdict: Verdict) -> Answer:
    text, log = verdict.message, verdict.log
    found = _CODE.match(text)
    if not found:
        return Answer(code, status, text, log)
    rest = text[found.end() :]
    if found[1][0] != str(code)[0]:
        if log == text:
            log = f"{code} {rest}"
        return Answer(code, status, rest, log, wrong_code=True)
    own = found[2] if found[2] and found[2][0] == found[1][0] else ""
    return Answer(int(found[1]), own or status, rest, log)
