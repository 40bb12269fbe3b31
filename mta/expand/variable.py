"""Finding the variable that a name means: declared ones, numbers, ACL variables, headers."""

from __future__ import annotations

from mta.base.text import is_number, lower
from mta.expand.context import Context
from mta.expand.headers import decoded, listed, raw, transcoded
from mta.expand.nodes import Program, Variable
from mta.expand.registry import VARIABLES
from mta.expand.trust import trusted

_FORMS = {
    "h": transcoded,
    "header": transcoded,
    "bh": decoded,
    "bheader": decoded,
    "rh": raw,
    "rheader": raw,
    "lh": listed,
    "lheader": listed,
}


def find_variable(name: str) -> Variable | str:
    """The variable of this name, or what is to be said about a name that means nothing."""
    if (entry := VARIABLES.get(name)) is not None:
        if not entry.trusted:
            return Variable(name, entry.read)
        read = entry.read
        return Variable(name, lambda ctx: trusted(read(ctx)))
    if name.startswith("acl_"):
        return _acl_variable(name)
    if name.startswith("r_"):
        return Variable(name, lambda ctx: ctx.place.router_variables.get(name, ""))
    if name.startswith("auth") and len(name) == 5 and name[4] in "1234":
        return Variable(name, lambda ctx: ctx.values.get(name, ""))
    return ""


def _acl_variable(name: str) -> Variable | str:
    kind, rest = name[:5], name[5:]
    if kind not in ("acl_c", "acl_m"):
        return " (user-defined ACL variables must start acl_c or acl_m)"
    if not (rest and (rest[0] == "_" or is_number(rest[0]))):
        return " (6th character of a user-defined ACL variable must be a digit or underscore)"
    key = rest  # as spool and ACLs keep it: "0", "_name"
    if kind == "acl_c":
        return Variable(name, lambda ctx: ctx.connection.acl_c.get(key, ""))
    return Variable(name, lambda ctx: ctx.message.acl_m.get(key, ""))


def captured(number: int) -> Variable:
    """$0, $1 … of the match that was made last."""

    def read(ctx: Context) -> str:
        captures = ctx.captures
        return captures[number] if number < len(captures) else ""

    return Variable(str(number), read)


def header_variable(reference: str) -> Variable:
    """h_NAME and its relatives: all headers of this name, in one of the four forms."""
    form, _, name = reference.partition("_")
    read = _FORMS[form]
    wanted = lower(name)
    program: Program = lambda ctx: read(ctx, wanted)  # noqa: E731
    return Variable(reference, program)
