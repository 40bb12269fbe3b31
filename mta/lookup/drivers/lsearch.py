"""lsearch: a text file with "key: value" lines, such as /etc/aliases."""

from __future__ import annotations

from mta.base.text import lower
from mta.base.trust import Trusted
from mta.lookup import linear
from mta.lookup.api import Lookup, Query, Tables, lookup


@lookup("lsearch")
class Lsearch(Lookup):
    """A text file with "key: value" lines; the case of letters in keys does not matter.

    The first entry with the key is taken.  With ret=full the whole entry is the answer.
    """

    def find(self, tables: Tables, query: Query) -> Trusted | None:
        """The value of the first entry with this key.  Raises TempFail."""
        entry = linear.read(tables, query).index.get(lower(query.key))
        return None if entry is None else linear.answer(entry, query)
