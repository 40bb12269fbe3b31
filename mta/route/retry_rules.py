"""The retry section: for which destinations and errors, how often and for how long to try.

    # pattern       error        rules
    *.example.com   timeout      F,1h,10m
    *               *            F,2h,15m; G,16h,1h,1.5; F,4d,6h

The first line whose pattern and error match is the one.  Each of its rules holds until the
destination has been failing for its time: F tries at fixed intervals, G at ones that grow by a
factor, H at random ones that grow.  After the last rule's time a destination has expired:
messages for it fail, though one is tried now and then.  A destination with no line at all
expires at once.
"""

from __future__ import annotations

import errno
import random
import re
from dataclasses import dataclass

from mta.base.errors import ConfigError, ExpansionFail, Where
from mta.base.registry import suggestion
from mta.base.text import SPACES, is_number, words
from mta.config.kinds import parse_time
from mta.config.model import Configuration, Line
from mta.config.template import Template, template
from mta.expand.compile import prepare
from mta.expand.context import Context
from mta.hints.retry import Record
from mta.match.address import match_address

# Exim's numbers for what is no error of the system.
LOST_CONNECTION = -18
QUOTA = -22
UNKNOWN_HOST = -32
LIST_DEFER = -35
DNS_DEFER = -36
TLS_REQUIRED = -38
AUTH_FAIL = -42
CONNECT_TIMEOUT = -43
RCPT_4XX = -44
MAIL_4XX = -45
DATA_4XX = -46

_CODES: dict[str, tuple[int, ...]] = {
    "auth_failed": (AUTH_FAIL,),
    "lost_connection": (LOST_CONNECTION,),
    "lookup": (DNS_DEFER, LIST_DEFER, UNKNOWN_HOST),
    "refused": (errno.ECONNREFUSED,),
    "timeout": (errno.ETIMEDOUT, CONNECT_TIMEOUT),
    "timeout_connect": (CONNECT_TIMEOUT,),
    "timeout_DNS": (DNS_DEFER,),
    "tls_required": (TLS_REQUIRED,),
    "quota": (QUOTA, errno.EDQUOT, errno.ENOSPC),
}
_BY_HOST = ("refused", "timeout", "timeout_connect")
_REPLIES = {"rcpt": RCPT_4XX, "mail": MAIL_4XX, "data": DATA_4XX}
_REPLY = re.compile(r"(rcpt|mail|data)_4([0-9x])([0-9x])")
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SENDERS = re.compile(r'[ \t]*senders=(?:"([^"]*)"|([^ \t]*))')


@dataclass(frozen=True, slots=True)
class Failure:
    """What failed: the number in the record and the three digits of a reply.

    Besides: whether the host came from an MX record, and for how many seconds nobody has read
    a mailbox that is full.
    """

    code: int
    reply: str = ""
    from_mx: bool = False
    unread: int = 0

    @property
    def detail(self) -> str:
        """What else a record keeps of it, for `failure_of`."""
        if self.unread:
            return str(self.unread)
        return self.reply or ("M" if self.from_mx else "")


def failure_of(record: Record) -> Failure:
    """The failure that a record speaks of."""
    detail = record.detail
    if not is_number(detail):
        return Failure(record.code, from_mx=detail == "M")
    if record.code in _CODES["quota"]:
        return Failure(record.code, unread=int(detail))
    return Failure(record.code, detail)


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its letter, until when it holds, its interval and factor."""

    letter: str
    until: int
    interval: int
    factor: float = 1.0


@dataclass(frozen=True, slots=True)
class RetryLine:
    """One line of the section."""

    pattern: Template
    error: str
    senders: Template | None
    rules: tuple[Rule, ...]
    where: Where
    text: str = ""  # as it was written

    @property
    def lasts(self) -> int:
        """For how many seconds it tries; then a destination is given up."""
        return self.rules[-1].until if self.rules else 0


@dataclass(frozen=True, slots=True)
class Next:
    """When to try again; `expired` after the last rule's time, `timed_out` if the message has
    had its time too."""

    at: int
    expired: bool
    timed_out: bool


class RetryRules:
    """All lines of the section, in order."""

    __slots__ = ("_most", "lines")

    def __init__(self, lines: tuple[RetryLine, ...], most: int) -> None:
        self.lines = lines
        self._most = most  # retry_interval_max

    def find(
        self, ctx: Context, key: str, failure: Failure, alternative: str = ""
    ) -> RetryLine | None:
        """The line for an address, or a host or domain; `alternative` is tried besides."""
        for line in self.lines:
            if not matches_error(line.error, failure):
                continue
            if line.senders is not None and not _match(ctx, line.senders, ctx.message.sender):
                continue
            if _fits(ctx, line, key) or (alternative and _fits(ctx, line, alternative)):
                return line
        return None

    def next(
        self,
        line: RetryLine | None,
        record: Record | None,
        now: int,
        received: int,
        *,
        is_host: bool = False,
    ) -> Next:
        """When a destination that has just failed may be tried again.

        `record` is what was known before; `received` is when the message came.  What failed
        for something that is the message's or the address's own is taken to have failed since
        then, as others may get through and wipe the record; with `is_host` that is no reason
        to think so, and the message only has its time.
        """
        if line is None or not line.rules:
            return Next(now, expired=True, timed_out=True)
        first = record.first_failed if record else now
        failing = now - (first if is_host else min(first, received))
        rule = next((each for each in line.rules if failing <= each.until), None)
        expired = rule is None
        if not expired and received <= first and now - received > line.lasts:
            # The next message may try at once.
            return Next(now, expired=False, timed_out=True)
        interval = _interval(rule or line.rules[-1], record, now)
        return Next(now + min(interval, self._most), expired=expired, timed_out=expired)


def _interval(rule: Rule, record: Record | None, now: int) -> int:
    if rule.letter == "F":
        return rule.interval
    gap = 0
    if record is not None:
        gap = min(record.next_try - record.last_try, now - record.last_try)
    grown = int(gap * rule.factor)
    if rule.letter == "G":
        return rule.interval if gap < rule.interval else grown
    # The upper half of what lies between the first interval and the grown one, as in Exim.
    more = max(0, grown - rule.interval)
    return rule.interval + more // 2 + random.randrange(more // 2 + 1)


def matches_error(name: str, failure: Failure) -> bool:
    """True if an error name of the section means this failure."""
    if name == "*":
        return True
    if found := _REPLY.fullmatch(name):
        if failure.code != _REPLIES[found[1]]:
            return False
        wanted = "4" + found[2] + found[3]
        return len(failure.reply) == 3 and all(
            digit in ("x", given) for digit, given in zip(wanted, failure.reply, strict=True)
        )
    stem, kind = name, ""
    if name.endswith(("_A", "_MX")):
        stem, _, kind = name.rpartition("_")
    if kind and failure.from_mx != (kind == "MX"):
        return False
    if stem.startswith("quota_"):
        unread = parse_time(stem[len("quota_") :], Where("", 0))
        return failure.code in _CODES["quota"] and failure.unread > unread
    return failure.code in _CODES[stem]


def _fits(ctx: Context, line: RetryLine, key: str) -> bool:
    if line.pattern.text == "*":
        return True
    return _match(ctx, line.pattern, key if "@" in key else f"*@{key}")


def _match(ctx: Context, pattern: Template, address: str) -> bool:
    try:
        return match_address(ctx, pattern, address) is not None
    except ExpansionFail:
        return False


def load_retry_rules(conf: Configuration) -> RetryRules:
    """The retry section of a configuration.  Raises ConfigError."""
    lines = tuple(parse_line(line) for line in conf.retry)
    prepare(lines)
    return RetryRules(lines, conf.queue.retry_interval_max)


def parse_line(line: Line) -> RetryLine:
    """One line.  Raises ConfigError."""
    pattern, rest = _word(line.text)
    error, rest = _word(rest)
    if not pattern or not error:
        raise ConfigError(line.where, "a retry rule begins with a pattern and an error name")
    _check_error(error, line.where)
    senders = None
    if found := _SENDERS.match(rest):
        senders = template(found[1] if found[1] is not None else found[2], line.where)
        rest = rest[found.end() :]
    rules = tuple(
        _rule(part.strip(SPACES), line.where) for part in rest.split(";") if part.strip(SPACES)
    )
    written = " ".join(words(line.text))
    return RetryLine(template(pattern, line.where), error, senders, rules, line.where, written)


def _word(text: str) -> tuple[str, str]:
    text = text.lstrip(SPACES)
    if quoted := _QUOTED.match(text):
        return quoted[1].replace("\\\\", "\\"), text[quoted.end() :]
    end = next((at for at, letter in enumerate(text) if letter in SPACES), len(text))
    return text[:end], text[end:]


def _check_error(name: str, where: Where) -> None:
    stem = name.removesuffix("_A").removesuffix("_MX")
    if name == "*" or name in _CODES or (stem in _BY_HOST and stem != name):
        return
    if _REPLY.fullmatch(name):
        return
    if name.startswith("quota_"):
        parse_time(name[len("quota_") :], where)
        return
    known = ["*", *_CODES, "rcpt_4xx", "mail_4xx", "data_4xx"]
    raise ConfigError(
        where, f'"{name}" is not a known retry error name', suggestion(name, known)
    )


def _rule(text: str, where: Where) -> Rule:
    letter, *values = [part.strip(SPACES) for part in text.split(",")]
    if letter not in ("F", "G", "H"):
        raise ConfigError(where, f'retry rule "{text}" begins with none of F, G and H')
    if len(values) != (2 if letter == "F" else 3):
        form = "F,time,interval" if letter == "F" else f"{letter},time,interval,factor"
        raise ConfigError(where, f'bad parameters for retry rule "{text}"', f"write {form}")
    until, interval = parse_time(values[0], where), parse_time(values[1], where)
    if interval <= 0 or until <= 0:
        raise ConfigError(where, f'bad parameters for retry rule "{text}"', "times above 0")
    factor = 1.0
    if letter != "F":
        whole, _, part = values[2].partition(".")
        if not is_number(whole) or (part and not is_number(part)) or len(values[2]) > 12:
            raise ConfigError(where, f'bad parameters for retry rule "{text}"')
        factor = float(values[2])
        if factor < 1:
            raise ConfigError(where, f'bad parameters for retry rule "{text}"', "factor >= 1")
    return Rule(letter, until, interval, factor)
