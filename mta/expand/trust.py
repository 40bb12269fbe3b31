"""The rule of trust for expansions: a result is trusted if all that went into it was.

This and the modules that hold tables are the only places where expansion makes trusted text.
An empty text is neutral: it adds nothing that a stranger could have chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

from mta.base.errors import ExpansionFail, TempFail, Where
from mta.base.text import one_line
from mta.base.trust import Trusted

RESULT_LIMIT = 1 << 20
_SHOWN = 80


def trusted(text: str) -> Trusted:
    """Text that the program itself made, or that the administrator wrote."""
    return text if type(text) is Trusted else Trusted(text)


def keep(source: str, result: str) -> str:
    """What was made of one text: trusted if that was."""
    return Trusted(result) if type(source) is Trusted or not source else str(result)


def keep_all(sources: Sequence[str], result: str) -> str:
    """What was made of several texts: trusted if all of them were.  The size is checked."""
    if len(result) > RESULT_LIMIT:
        raise ExpansionFail(f"the result is longer than {RESULT_LIMIT} octets")
    for source in sources:
        if type(source) is not Trusted and source:
            return str(result)
    return Trusted(result)


def refusal(text: str, what: str, where: Where | None, instead: str = "") -> str:
    """The words for text that a stranger chose and that is used where it must not be.

    They begin as Exim's do; then comes what to use instead, and the place.
    """
    shown = one_line(text[:_SHOWN])
    advice = f"; use {instead}" if instead else ""
    place = f" ({where})" if where else ""
    return f"Tainted '{shown}' ({what}) not permitted{advice}{place}"


def require(
    text: str,
    what: str,
    where: Where | None,
    instead: str = "$local_part_data, $domain_data or the result of a lookup",
) -> Trusted:
    """This text, if no stranger had a say in it; else TempFail, for the sinks outside."""
    if type(text) is Trusted:
        return text
    if not text:
        return Trusted("")
    raise TempFail(refusal(text, what, where, instead), code=-1)


def require_inside(text: str, what: str, where: Where | None, instead: str = "") -> Trusted:
    """The same for sinks inside an expansion, which then fails."""
    if type(text) is Trusted:
        return text
    if not text:
        return Trusted("")
    raise ExpansionFail(refusal(text, what, where, instead))
