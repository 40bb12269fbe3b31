"""Parsing a string that is to be expanded: text → nodes, with Exim's words for what is wrong.

Everything is parsed, also the arms that are not taken later: an unknown name in one of them
is an error of the whole string.  Items and conditions with a syntax of their own are handed
this reader and take from it what they need.
"""

from __future__ import annotations

from mta.base import text as words
from mta.base.errors import ExpansionFail, Where
from mta.base.text import SPACES, to_bytes, to_text
from mta.base.trust import Trusted
from mta.expand import registry
from mta.expand.nodes import Branches, Item, Joined, Node, Test, Text, Variable
from mta.expand.registry import CONDITIONS, ITEMS, OPERATORS
from mta.expand.simple import condition_node, item_node, operator_node
from mta.expand.trust import trusted
from mta.expand.variable import captured, find_variable, header_variable

DEPTH_LIMIT = 100
LENGTH_LIMIT = 1 << 20
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_DIGITS = frozenset("0123456789")
_NAME = _LETTERS | _DIGITS | {"_"}
_ITEM_NAME = _NAME | {"-"}
_HEADERS = ("h_", "header_", "rh_", "rheader_", "bh_", "bheader_", "lh_", "lheader_")
_SIMPLE_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class Reader:
    """Reads one string; `at` is the place it has reached."""

    __slots__ = ("_headers_open", "at", "depth", "text", "where")

    def __init__(self, text: str, where: Where) -> None:
        if len(text) > LENGTH_LIMIT:
            raise ExpansionFail(f"a string longer than {LENGTH_LIMIT} octets is not expanded")
        self.text = text
        self.where = where
        self.at = 0
        self.depth = 0
        self._headers_open = False

    # What items ask for.

    def sequence(self, *, closing: bool, dollar: bool = True) -> Node:
        """Everything up to the closing brace, which is not taken, or to the end."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise ExpansionFail(f"expansions are nested more than {DEPTH_LIMIT} deep")
        parts: list[Node] = []
        plain: list[str] = []
        while (letter := self.peek()) and not (letter == "}" and closing):
            if letter == "\\":
                plain.append(self._escape())
            elif letter == "$" and dollar:
                _flush(plain, parts)
                parts.append(self._dollar())
            else:
                plain.append(self._run_of_text())
        if closing and not self.peek():
            raise ExpansionFail("missing } at end of string" + self._hint())
        _flush(plain, parts)
        self.depth -= 1
        return parts[0] if len(parts) == 1 else Joined(tuple(parts))

    def argument(self, *, dollar: bool = True) -> Node:
        """The {…} that stands here."""
        if self.peek() != "{":
            raise self.misplaced()
        self.at += 1
        node = self.sequence(closing=True, dollar=dollar)
        self.at += 1
        return node

    def arguments(self, name: str, least: int, most: int, *, last: bool) -> list[Node]:
        """The arguments {…}{…} of an item; with `last` also its closing brace."""
        found: list[Node] = []
        self.skip()
        while len(found) < most and self.peek() == "{":
            found.append(self.argument())
            self.skip()
        if len(found) < least:
            raise ExpansionFail(f"Not enough arguments for '{name}' (min is {least})")
        if last and not self.take("}"):
            if self.peek() == "{":
                raise ExpansionFail(f"Too many arguments for '{name}' (max is {most})")
            raise ExpansionFail(f"missing '}}' closing item {name}")
        return found

    def branches(self, name: str) -> Branches:
        """{yes}{no}, {yes}fail, {yes} or nothing, and the closing brace of the item."""
        self.skip()
        if self.take("}"):
            return Branches(name)
        yes = self._arm("yes")
        no, fails = None, False
        self.skip()
        if self.peek() == "{":
            no = self._arm("no")
        elif self.peek() != "}":
            if self.name(_NAME) != "fail":
                raise ExpansionFail(f'syntax error in "{name}" item - "fail" expected')
            fails = True
        self.skip()
        if not self.take("}"):
            after = " after forcedfail" if fails else ""
            raise self._curly(f"did not close with '}}'{after}")
        return Branches(name, yes, no, fails)

    def condition(self) -> Test:
        """The condition that stands here, with any "!" before it."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise ExpansionFail(f"conditions are nested more than {DEPTH_LIMIT} deep")
        self.skip()
        positive = True
        while self.take("!"):
            positive = not positive
            self.skip()
        test = self._condition(self._condition_name())
        self.depth -= 1
        return test if positive else _negated(test)

    def name(self, allowed: frozenset[str] = _NAME) -> str:
        """A name of letters, digits and what else is allowed; it may be empty."""
        start = self.at
        if self.peek() in _LETTERS or self.peek() in _DIGITS:
            while self.peek() in allowed:
                self.at += 1
        return self.text[start : self.at]

    def peek(self) -> str:
        """The letter here, "" at the end."""
        return self.text[self.at : self.at + 1]

    def take(self, letter: str) -> bool:
        """Step over this letter if it is here."""
        if not self.text.startswith(letter, self.at):
            return False
        self.at += len(letter)
        return True

    def skip(self) -> None:
        """Step over white space."""
        while self.at < len(self.text) and self.text[self.at] in SPACES:
            self.at += 1

    def close(self, name: str) -> None:
        """Step over the closing brace of an item."""
        self.skip()
        if not self.take("}"):
            raise ExpansionFail(f"missing '}}' closing item {name}")

    def misplaced(self) -> ExpansionFail:
        """The error for a brace that is missing."""
        return ExpansionFail("missing or misplaced { or }" + self._hint())

    def constant(self, text: str) -> Trusted:
        """Words of this string as text; the administrator wrote them."""
        return trusted(text)

    # What they need for it.

    def _hint(self) -> str:
        if self._headers_open:
            return " - could be header name not terminated by colon"
        return ""

    def _curly(self, problem: str) -> ExpansionFail:
        if self._headers_open and not self.peek():
            return self.misplaced()
        rest = self.text[self.at :]
        return ExpansionFail(
            f"curly-bracket problem in conditional yes/no parsing: {problem}\n"
            f" remaining string is '{rest}'"
        )

    def _arm(self, which: str) -> Node:
        if not self.take("{"):
            raise self._curly(f"'{which}' part did not start with '{{'")
        node = self.sequence(closing=True)
        if not self.take("}"):
            raise self._curly(f"'{which}' part did not end with '}}'")
        return node

    def _run_of_text(self) -> str:
        """Letters that mean nothing, at least one."""
        start = self.at
        self.at += 1
        while self.at < len(self.text) and self.text[self.at] not in "\\$}":
            self.at += 1
        return self.text[start : self.at]

    def _escape(self) -> str:
        if self.text.startswith("\\N", self.at):
            start = self.at + 2
            end = self.text.find("\\N", start)
            self.at = len(self.text) if end < 0 else end + 2
            return self.text[start : end if end >= 0 else None]
        if self.at + 1 == len(self.text):
            raise ExpansionFail("\\ at end of string")
        value, self.at = interpret_escape(self.text, self.at)
        return value

    def _dollar(self) -> Node:
        self.at += 1
        letter = self.peek()
        if letter in _LETTERS and letter:
            return self._bare_variable()
        if letter in _DIGITS and letter:
            return captured(self._number())
        if letter != "{":
            raise ExpansionFail("$ not followed by letter, digit, or {")
        self.at += 1
        letter = self.peek()
        if letter in _DIGITS and letter:
            number = self._number()
            if not self.take("}"):
                raise ExpansionFail("} expected after number")
            return captured(number)
        if not letter or letter not in _LETTERS:
            raise ExpansionFail("letter or digit expected after ${")
        return self._braced()

    def _number(self) -> int:
        start = self.at
        while self.peek() and self.peek() in _DIGITS:
            self.at += 1
        return int(self.text[start : self.at][:6])

    def _bare_variable(self) -> Variable:
        start = self.at
        if self.text.startswith(_HEADERS, start):
            return self.header()
        name = self.name()
        found = find_variable(name)
        if isinstance(found, str):
            raise ExpansionFail(f'unknown variable name "{name}"{found}')
        return found

    def header(self) -> Variable:
        """h_NAME: and its relatives; the colon is taken, a blank ends the name too."""
        start = self.at
        while (letter := self.peek()) and letter != ":" and letter not in SPACES:
            self.at += 1
        name = self.text[start : self.at]
        self.take(":")
        if "}" in name:
            self._headers_open = True
        return header_variable(name)

    def _braced(self) -> Node:
        name = self.name(_ITEM_NAME)
        if (item := ITEMS.get(name)) is not None:
            if not item.syntax:
                nodes = self.arguments(name, item.least, item.most, last=True)
                return item_node(item, nodes)
            read: Item = item.function(self)
            return read
        if self.peek() == ":":
            return self._operator(name)
        if self.peek() == "}":
            self.at += 1
            found = find_variable(name)
            if isinstance(found, str):
                raise ExpansionFail(f'unknown variable in "${{{name}}}"{found}')
            return found
        raise ExpansionFail(
            f'"${{{name}" is not a known operator (or a }} is missing in a variable reference)'
        )

    def _operator(self, name: str) -> Node:
        self.at += 1
        inner = self.sequence(closing=True)
        self.at += 1
        bare, _, argument = name.partition("_")
        entry = OPERATORS.get(name)
        if entry is None and (entry := OPERATORS.get(bare)) is not None:
            return operator_node(entry, name, argument, inner)
        if entry is None:
            raise ExpansionFail(f'unknown expansion operator "{name}"')
        return operator_node(entry, name, "", inner)

    def _condition_name(self) -> str:
        start = self.at
        if self.peek() in _LETTERS and self.peek():
            return self.name()
        while self.at - start < 2 and self.peek() and self.peek() in "<=>":
            self.at += 1
        if start == self.at:
            raise ExpansionFail(
                f'condition name expected, but found "{self.text[start : start + 16]}"'
            )
        return self.text[start : self.at]

    def _condition(self, name: str) -> Test:
        entry = CONDITIONS.get(name)
        if entry is None:
            raise ExpansionFail(f'unknown condition "{name}"')
        if entry.syntax:
            test: Test = entry.function(self)
            return test
        return condition_node(entry, self.condition_arguments(entry))

    def condition_arguments(self, entry: registry.ConditionEntry) -> list[Node]:
        """The arguments {…}{…} of a condition."""
        nodes: list[Node] = []
        for index in range(entry.arguments):
            self.skip()
            if self.peek() != "{":
                if index == 0:
                    raise ExpansionFail(f'missing {{ after "{entry.name}"')
                raise ExpansionFail(f'missing 2nd string in {{}} after "{entry.name}"')
            nodes.append(self.argument(dollar=not (index and entry.literal)))
        return nodes


def interpret_escape(text: str, at: int) -> tuple[str, int]:
    """What the escape at this place of a text means, and where it ends."""
    letter = text[at + 1]
    if letter in _SIMPLE_ESCAPES:
        return _SIMPLE_ESCAPES[letter], at + 2
    if letter in "01234567":
        return _coded(text, at + 1, 3, 8)
    if letter == "x":
        return _coded(text, at + 2, 2, 16)
    return letter, at + 2


def _coded(text: str, start: int, most: int, base: int) -> tuple[str, int]:
    end = start
    digits = "0123456789abcdef"[:base]
    while end < len(text) and end - start < most and words.lower(text[end]) in digits:
        end += 1
    code = int(text[start:end] or "0", base) & 0xFF
    return to_text(bytes([code])), end


def _flush(plain: list[str], parts: list[Node]) -> None:
    """Make one text of what was collected; octets given one by one may form a letter."""
    if plain:
        text = "".join(plain)
        parts.append(Text(trusted(text if text.isascii() else to_text(to_bytes(text)))))
        plain.clear()


def _negated(test: Test) -> Test:
    return Test("!", (), lambda _, checks: lambda ctx: not checks[0](ctx), (test,))
