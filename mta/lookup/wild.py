"""Text files whose keys are patterns: what wildlsearch and nwildlsearch have in common."""

from __future__ import annotations

from mta.base.errors import ExpansionFail, TempFail
from mta.base.text import lower
from mta.base.trust import Trusted
from mta.lookup import linear
from mta.lookup.api import Query, Tables
from mta.lookup.pcre import pattern


def find(tables: Tables, query: Query, *, expand: bool) -> Trusted | None:
    """The value of the first entry whose key, perhaps expanded, matches.  Raises TempFail."""
    sought = lower(query.key)
    for entry in linear.read(tables, query).entries:
        key = entry.key
        try:
            if expand and query.expand is not None:
                key = query.expand(Trusted(key))
            if matches(key, query.key, sought):
                return linear.answer(entry, query)
        except ExpansionFail as error:
            if not error.forced:
                reason = f'failed to expand "{entry.key}" while checking a list: {error.text}'
                raise TempFail(reason) from error
    return None


def matches(key: str, text: str, folded: str) -> bool:
    """True if a key, ^regular expression, *suffix or plain text, matches whatever the case."""
    if key.startswith("^"):
        return pattern(key, caseless=True).matches(text)
    if key.startswith("*"):
        return folded.endswith(lower(key[1:]))
    return lower(key) == folded
