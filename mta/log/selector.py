"""log_selector: which details the log shows.  Only a few of Exim's names mean anything yet."""

from __future__ import annotations

from functools import lru_cache

from mta.base.text import words


@lru_cache(100)
def selected(selector: str, name: str) -> bool:
    """True if a detail that is not usually shown was asked for; the last word on it counts."""
    answer = False
    for word in words(selector.replace("+", " +").replace("-", " -")):
        if word[1:] in (name, "all"):
            answer = word[0] == "+"
    return answer
