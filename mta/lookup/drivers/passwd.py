"""passwd: the system's users, wherever it has them from."""

from __future__ import annotations

from mta.base.trust import Trusted
from mta.lookup.api import Lookup, Query, Tables, lookup
from mta.unix import users


@lookup("passwd")
class Passwd(Lookup):
    """The system's users: *:uid:gid:gecos:home:shell for a login name."""

    query_style = True

    def find(self, tables: Tables, query: Query) -> Trusted | None:
        """The entry of this user, without the name and the password."""
        user = users.by_name(query.key)
        if user is None:
            return None
        return Trusted(f"*:{user.uid}:{user.gid}:{user.gecos}:{user.home}:{user.shell}")
