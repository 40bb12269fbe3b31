"""What failed for the time being: since when, why, and when it may be tried again.

The keys are Exim's:

    R:domain              routing this domain failed; R:address with retry_use_local_part
    R:address:<sender>    a host deferred this recipient
    T:address             a local delivery failed
    T:host:ip[:port]      a host cannot be reached, or had enough of us
    T:host:ip:messageid   a host deferred this message; without :ip where the transport says
                          retry_include_ip_address = false

Successful deliveries cost one look: none at all while the database is empty or does not exist.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mta.hints.store import Row, Store, Value

EXPIRE_SECONDS = 7 * 86400  # the default of retry_data_expire
TEXT_LIMIT = 150

_SCHEMA = """
CREATE TABLE IF NOT EXISTS failing (
    key TEXT PRIMARY KEY,
    first_failed INTEGER NOT NULL,
    last_try INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    expired INTEGER NOT NULL,
    code INTEGER NOT NULL,
    text TEXT NOT NULL,
    detail TEXT NOT NULL
) WITHOUT ROWID;
"""
_COLUMNS = "key, first_failed, last_try, next_try, expired, code, text, detail"
_FIND = f"SELECT {_COLUMNS} FROM failing WHERE key IN (%s)"
_ALL = f"SELECT {_COLUMNS} FROM failing ORDER BY key"
_BETWEEN = f"SELECT {_COLUMNS} FROM failing WHERE key >= ? AND key < ?"
_SAVE = f"INSERT OR REPLACE INTO failing ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_MOST_KEYS = 500  # in one statement


@dataclass(frozen=True, slots=True)
class Record:
    """One destination that failed.  Times are seconds since 1970."""

    key: str
    first_failed: int
    last_try: int
    next_try: int
    expired: bool = False
    code: int = 0
    text: str = ""
    detail: str = ""  # what a rule may ask of besides: see route.retry_rules.Failure


class RetryHints:
    """The retry database."""

    __slots__ = ("_expire", "_seen", "_store")

    def __init__(self, path: str, expire: int = EXPIRE_SECONDS) -> None:
        """`expire`: what was not touched for so many seconds says nothing any more."""
        self._expire = expire
        self._store = Store(path, _SCHEMA)
        # Whether it was empty when we looked, and in which state of the database that was.
        self._seen: tuple[tuple[int, int], bool] | None = None

    def find(self, keys: Sequence[str], now: float) -> dict[str, Record]:
        """The records of these keys that are not too old to matter."""
        found: dict[str, Record] = {}
        if not keys or self._is_empty():
            return found
        for start in range(0, len(keys), _MOST_KEYS):
            some = [_storable(key) for key in keys[start : start + _MOST_KEYS]]
            marks = ",".join("?" * len(some))
            for row in self._store.read(_FIND % marks, some):
                record = _record(row)
                if now - record.last_try < self._expire:
                    found[record.key] = record
        return found

    def hosts_named(self, name: str, now: float) -> list[Record]:
        """The records of all addresses of a host."""
        if self._is_empty():
            return []
        prefix = _storable(f"T:{name}:")
        rows = self._store.read(_BETWEEN, (prefix, prefix[:-1] + ";"))
        records = [_record(row) for row in rows]
        return [record for record in records if now - record.last_try < self._expire]

    def save(self, records: Sequence[Record]) -> None:
        """Remember these failures."""
        if records:
            self._seen = None
            self._store.write(_SAVE, [_row(record) for record in records])

    def forget(self, keys: Iterable[str]) -> None:
        """These work again."""
        rows = [(_storable(key),) for key in keys]
        if rows and not self._is_empty():
            self._store.write("DELETE FROM failing WHERE key = ?", rows)

    def everything(self) -> list[Record]:
        """All records, for people to see."""
        return [_record(row) for row in self._store.read(_ALL)]

    def tidy(self, now: float) -> None:
        """Drop what is too old to matter."""
        if not self._is_empty():
            oldest = int(now) - self._expire
            self._store.write("DELETE FROM failing WHERE last_try < ?", [(oldest,)])

    def close(self) -> None:
        """Give the database back."""
        self._store.close()

    def _is_empty(self) -> bool:
        """True if there is nothing in the database; costs next to nothing when asked again."""
        changes = self._store.changes()
        if changes is None:
            return True
        if self._seen is None or self._seen[0] != changes:
            self._seen = (changes, not self._store.read("SELECT 1 FROM failing LIMIT 1"))
        return self._seen[1]


def _storable(text: str) -> str:
    """Text as SQLite takes it: octets that are no UTF-8 are written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _row(record: Record) -> Row:
    return (
        _storable(record.key),
        record.first_failed,
        record.last_try,
        record.next_try,
        int(record.expired),
        record.code,
        _storable(record.text[:TEXT_LIMIT]),
        _storable(record.detail),
    )


def _record(row: Row) -> Record:
    key, first, last, following, expired, code, text, detail = row
    return Record(
        str(key),
        _number(first),
        _number(last),
        _number(following),
        bool(expired),
        _number(code),
        str(text),
        str(detail),
    )


def _number(value: Value) -> int:
    # SQLite keeps what it was given, whatever the column says.
    return value if isinstance(value, int) else 0
