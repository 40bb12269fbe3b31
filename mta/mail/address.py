"""Mail addresses: reading them from commands and header lines, and taking them apart.

`parse_path` reads the one address of an SMTP command or a command line, `parse_list` the many
of a header line or an alias.  Both accept what Exim accepts: comments, source routes (which
are dropped), quoted words, dots in odd places; the words of their errors are Exim's.

An address comes out as `local_part@domain` with its quoting kept and nothing else around it.
`split` and `unquote` take such an address apart.  Only ASCII counts as white space; control
characters are never part of an address, so a line break cannot get from here into a file.
"""

from __future__ import annotations

import re

from mta.base import text as words
from mta.base.errors import MtaError

ADDRESS_LIMIT = 512
DOMAIN_LIMIT = 255

# One word of a local part outside quotes: anything visible that has no meaning of its own.
_WORD = re.compile(r'(?>(?:[^\x00-\x20\x7f()<>@,;:\\".\[\]]|\\[^\x00-\x1f\x7f])+)')
_QUOTED = re.compile(r'"(?>(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[^\x00-\x08\x0a-\x1f\x7f])*)"')
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*+")
# Letters, digits, all that is not ASCII; a negation because that compiles much faster.
_LABEL_UTF8 = re.compile(r"[^\x00-/:-@\[-`{-\x7f][^\x00-,./:-@\[-`{-\x7f]*+")
_LITERAL = re.compile(r"\[([0-9A-Za-z:.]*+)\]")
_BLANKS = re.compile(r"[ \t\r\n]*+")
_COMMENT_STEP = re.compile(r"[^()\\]++|\\.?|[()]", re.DOTALL)
# What almost every command carries; the rest of the module is for the others.
_PLAIN = re.compile(
    r"<([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++(?>(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++)*)"
    r"@[A-Za-z0-9][A-Za-z0-9-]*+(?>(?:\.[A-Za-z0-9][A-Za-z0-9-]*+)*))>(?=[ \t]|\Z)"
)
_SAFE_WORD = r'[^\x00-\x20"(),.:;<>@\[\\\]\x7f]++'
_SAFE_LOCAL = re.compile(rf"{_SAFE_WORD}(?>(?:\.{_SAFE_WORD})*)")
_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}")
_HEX = re.compile(r"[0-9A-Fa-f]{1,4}")


class AddressError(MtaError):
    """This text is no acceptable address; `reason` says why, in Exim's words."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


def is_null(address: str) -> bool:
    """True for the address of nobody, `<>`, the sender of bounces."""
    return not address


def split(address: str) -> tuple[str, str]:
    """The local part, quoting kept, and the domain, "" if there is none.

    It is cut at the last @ that is neither in a quoted string nor behind a backslash.
    """
    local_part, at, domain = address.rpartition("@")
    if not at or '"' in domain or _ends_escaped(local_part):
        return address, ""
    return local_part, domain


def _ends_escaped(text: str) -> bool:
    """True if the letter behind this text is escaped by the backslash at its end."""
    return (len(text) - len(text.rstrip("\\"))) % 2 == 1


def unquote(local_part: str) -> str:
    """The local part that is meant by one which has quoted strings or backslashes in it."""
    if '"' not in local_part and "\\" not in local_part:
        return local_part
    result: list[str] = []
    letters = iter(local_part)
    for letter in letters:
        if letter == "\\":
            result.append(next(letters, ""))
        elif letter != '"':
            result.append(letter)
    return "".join(result)


def quote(local_part: str) -> str:
    """A local part as it must be written: in quotes where it is not a row of plain words."""
    if _SAFE_LOCAL.fullmatch(local_part):
        return local_part
    escaped = local_part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def plain_path(text: str) -> tuple[str, str] | None:
    """The same as `parse_path` for <word@domain>, whatever is allowed; None for all else.

    Raises AddressError if it is too long.
    """
    if plain := _PLAIN.match(text):
        return _limited(plain[1]), text[plain.end() :]
    return None


def parse_path(
    text: str,
    *,
    null_ok: bool,
    allow_literal: bool,
    allow_unqualified: bool,
    allow_utf8: bool,
) -> tuple[str, str]:
    """The address at the start of the text, and the text after it.

    The angle brackets may be missing; then the address ends at the first blank that cannot
    belong to it.  Raises AddressError.
    """
    if plain := plain_path(text):
        return plain
    scanner = _Scanner(text, allow_literal=allow_literal, allow_utf8=allow_utf8)
    scanner.skip()
    address = scanner.mailbox(null_ok=null_ok)
    rest = text[scanner.at :]
    if rest and rest[0] not in words.SPACES:
        raise scanner.unexpected()
    if address and not allow_unqualified and not split(address)[1]:
        raise AddressError("address must contain a domain")
    return address, rest


def parse_list(
    text: str,
    *,
    allow_literal: bool = True,
    allow_unqualified: bool = True,
    allow_utf8: bool = True,
    limit: int = 100_000,
    errors: list[tuple[str, str]] | None = None,
) -> list[str]:
    """The addresses of a list as it stands in To:, Cc:, Bcc: or an alias.

    Groups, comments, display names and source routes are read and dropped; empty items and
    empty groups are nothing.  An item that is no address is added to `errors` with the reason
    and the reading goes on; without `errors` it raises AddressError.  So do more than `limit`
    items.
    """
    found: list[str] = []
    for count, item in enumerate(_items(text)):
        if count >= limit:
            raise AddressError("too many addresses")
        try:
            scanner = _Scanner(item, allow_literal=allow_literal, allow_utf8=allow_utf8)
            scanner.skip()
            if scanner.at == len(item):
                continue  # nothing but a comment
            address = scanner.only_mailbox()
            if not allow_unqualified and not split(address)[1]:
                raise AddressError("unqualified address not permitted")
        except AddressError as error:
            if errors is None:
                raise
            errors.append((item, error.reason))
        else:
            found.append(address)
    return found


def is_ip(text: str) -> bool:
    """True for an IPv4 or IPv6 address as text, without brackets."""
    return _is_ipv6(text) if ":" in text else _IPV4.fullmatch(text) is not None


def _is_ipv6(text: str) -> bool:
    head, gap, tail = text.partition("::")
    if (gap and "::" in tail) or len(text) > 45:
        return False
    groups = [part for side in (head, tail) if side for part in side.split(":")]
    width = len(groups)
    if groups and "." in groups[-1]:
        if _IPV4.fullmatch(groups.pop()) is None:
            return False
        width += 1
    if not all(_HEX.fullmatch(group) for group in groups):
        return False
    return width <= 7 if gap else width == 8


def _limited(address: str) -> str:
    """The address, if its length is tolerable."""
    if len(address) > ADDRESS_LIMIT or len(address) - address.rfind("@") - 1 > DOMAIN_LIMIT:
        raise AddressError("address is too long")
    return address


# One step through a list: a run that means nothing to its division, or one that may.
_ITEM_STEP = re.compile(
    r'[^"()<>\[\],;:\\]++|"(?>(?:[^"\\]|\\.)*)"?|\[[^\]\\\n]*+\]?|<[^>"]*+|\\.?|[()>\],;:]',
    re.DOTALL,
)


def _items(text: str) -> list[str]:
    """The text cut at its commas and groups; names of groups and empty items are dropped."""
    items: list[str] = []
    start = at = depth = 0
    in_angle = in_group = False
    while step := _ITEM_STEP.match(text, at):
        what = step[0][0]
        if what == "(":
            depth += 1
        elif what == ")":
            depth = max(0, depth - 1)
        elif depth:
            # Inside a comment only its parentheses and backslashes count.
            at = step.end() if what == "\\" else _in_comment(text, at)
            continue
        elif what == "<":
            in_angle = True
        elif what == ">":
            in_angle = False
        elif in_angle:
            pass
        elif what == "," or (what == ";" and in_group):
            items.append(text[start:at])
            start = step.end()
            in_group = in_group and what == ","
        elif (
            what == ":"
            and not in_group
            and not text[start:at].lstrip(" \t\r\n").startswith("@")
        ):
            start, in_group = step.end(), True
        at = step.end()
    items.append(text[start:])
    return [trimmed for item in items if (trimmed := words.trim(item))]


def _in_comment(text: str, at: int) -> int:
    """The end of the run of ordinary characters at this place of a comment."""
    step = _COMMENT_STEP.match(text, at)
    return step.end() if step else len(text)


class _Scanner:
    """Reads one address; `at` is the place it has reached."""

    __slots__ = ("allow_literal", "allow_utf8", "at", "text")

    def __init__(self, text: str, *, allow_literal: bool, allow_utf8: bool) -> None:
        self.text = text
        self.at = 0
        self.allow_literal = allow_literal
        self.allow_utf8 = allow_utf8

    def only_mailbox(self) -> str:
        """The address that is all of the text, perhaps with a name before it."""
        address = self.mailbox(null_ok=False)
        self.skip()
        if self.at < len(self.text):
            raise self.unexpected()
        return address

    def mailbox(self, *, null_ok: bool) -> str:
        """An address in angle brackets, with or without a name before it, or a bare one."""
        if not self.take("<") and not self.phrase():
            if self.at >= len(self.text):
                raise AddressError("empty address")
            return self.address('missing or malformed local part (expected word or "<")')
        self.skip()
        if self.text.startswith(">", self.at) and null_ok:
            self.at += 1
            return ""
        address = self.address("missing or malformed local part")
        self.skip()
        if not self.take(">"):
            if self.at < len(self.text):
                raise self.unexpected()
            raise AddressError("'>' missing at end of address")
        return address

    def address(self, no_local_part: str) -> str:
        """[source route] local part [@ domain]"""
        self.route()
        start = self.at
        local_part = self.local_part(no_local_part)
        after = self.at
        self.skip()
        if not self.take("@"):
            # A blank before what follows is not part of an unqualified address.
            self.no_word_may_follow(start, after)
            self.at = after
            return _limited(local_part)
        self.skip()
        return _limited(f"{local_part}@{self.domain()}")

    def no_word_may_follow(self, start: int, after: int) -> None:
        """Complain of what stands directly behind a word, such as the a of "x"a."""
        if after == self.at < len(self.text) and self.text[after] != ">":
            seen = self.text[start:after]
            raise AddressError(f'"@" or "." expected after "{seen}"')

    def route(self) -> None:
        """A source route, which means nothing any more: RFC 5321 appendix C."""
        if not self.text.startswith("@", self.at):
            return
        while self.take("@"):
            self.skip()
            self.domain()
            self.skip()
            if self.take(","):
                self.skip()
                while self.take(","):
                    self.skip()
            elif self.take(":"):
                self.skip()
                return
            else:
                break
        if self.at < len(self.text) and self.text[self.at] != ">":
            raise AddressError("colon expected after route list")
        raise AddressError("no local part")

    def local_part(self, nothing: str) -> str:
        """Words and quoted strings with dots between, before, or behind them."""
        parts: list[str] = []
        while True:
            while self.take("."):
                parts.append(".")
                self.skip()
            if self.text.startswith('"', self.at):
                part = self.match(_QUOTED)
                if not part:
                    raise AddressError("unmatched doublequote in local part")
            else:
                part = self.match(_WORD)
            parts.append(part)
            end = self.at
            self.skip()
            if not part or not self.text.startswith(".", self.at):
                self.at = end
                break
        if not (local_part := "".join(parts)):
            raise AddressError(nothing)
        return local_part

    def domain(self) -> str:
        """Labels with dots between them, or a literal if those are allowed."""
        if self.text.startswith("[", self.at):
            return self.literal()
        pattern = _LABEL_UTF8 if self.allow_utf8 else _LABEL
        labels = [self.match(pattern)]
        end = self.at
        self.skip()
        while labels[-1] and self.take("."):
            self.skip()
            labels.append(self.match(pattern))
            end = self.at
            self.skip()
        self.at = end
        if not labels[-1]:
            raise AddressError("domain missing or malformed")
        return ".".join(labels)

    def literal(self) -> str:
        """A domain literal such as [192.0.2.1] or [IPv6:2001:db8::1]."""
        if not self.allow_literal:
            raise AddressError("domain literals not allowed")
        match = _LITERAL.match(self.text, self.at)
        if not match:
            raise AddressError("malformed domain literal")
        inner = match[1]
        if inner[:5] in ("IPv6:", "IPv4:", "ipv6:", "ipv4:", "IPV6:", "IPV4:"):
            inner = inner[5:]
        if not is_ip(inner):
            raise AddressError("malformed domain literal")
        self.at = match.end()
        return match[0]

    def phrase(self) -> bool:
        """Skip a display name and the bracket behind it; False if there is none."""
        start = self.at
        while self.at < len(self.text):
            self.skip()
            if self.take("<"):
                return True
            if not (self.take(".") or self.match(_QUOTED) or self.match(_WORD)):
                break
        self.at = start
        return False

    def match(self, pattern: re.Pattern[str]) -> str:
        """What the pattern finds here, "" if nothing."""
        found = pattern.match(self.text, self.at)
        if not found:
            return ""
        self.at = found.end()
        return found[0]

    def take(self, letter: str) -> bool:
        """Step over this letter if it is here."""
        if not self.text.startswith(letter, self.at):
            return False
        self.at += 1
        return True

    def skip(self) -> None:
        """Step over blanks and comments; a comment may lack its end."""
        while True:
            self.match(_BLANKS)
            if not self.take("("):
                return
            depth = 1
            while depth and (step := _COMMENT_STEP.match(self.text, self.at)):
                self.at = step.end()
                depth += {"(": 1, ")": -1}.get(step[0], 0)

    def unexpected(self) -> AddressError:
        """The error for what stands behind a complete address."""
        seen = words.one_line(self.text[: self.at])
        following = words.one_line(self.text[self.at : self.at + 32])
        return AddressError(f"malformed address: {following} may not follow {seen}")
