"""wildlsearch: a text file whose keys are *suffixes and ^regular expressions."""

from __future__ import annotations

from mta.base.trust import Trusted
from mta.lookup import wild
from mta.lookup.api import Lookup, Query, Tables, lookup


@lookup("wildlsearch")
class Wildlsearch(Lookup):
    r"""A text file whose keys are texts, *suffixes or ^regular expressions.

    The first that matches is taken, whatever the case of the letters.
    Keys are expanded first: a "$" that is meant needs a backslash before it.
    """

    expands = True

    def find(self, tables: Tables, query: Query) -> Trusted | None:
        """The value of the first entry whose key matches.  Raises TempFail."""
        return wild.find(tables, query, expand=True)
