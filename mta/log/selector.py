"""log_selector: which details the log shows.  Only a few of Exim's names mean anything yet."""

from __future__ import annotations

from functools import lru_cache

from mta.base.text import words

# What is shown unless somebody says that it should not be.
USUAL = frozenset({"tls_cipher"})


@lru_cache(100)
def selected(selector: str, name: str) -> bool:
    """True if a detail is to be shown; the last word on it counts."""
    answer = name in USUAL
    for word in words(selector.replace("+", " +").replace("-", " -")):
        if word[1:] in (name, "all"):
            answer = word[0] == "+"
    return answer
