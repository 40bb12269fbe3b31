"""One database of hints: opened lazily, replaced when it is damaged, missed when it is gone.

Runs as:  any process that owns the database's directory; opened after the fork.
Raises:   nothing: a database that cannot be used is an empty one that forgets.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Sequence

Value = str | int | float | bytes | None
Row = tuple[Value, ...]

_PATIENCE = 1.0  # seconds to wait for another process that writes
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Store:
    """A SQLite file with the tables that `schema` makes."""

    __slots__ = ("_connection", "_file", "_pid", "_schema", "path")

    def __init__(self, path: str, schema: str) -> None:
        """Nothing is opened yet."""
        self.path = path
        self._schema = schema
        self._connection: sqlite3.Connection | None = None
        self._file = (0, 0)
        self._pid = 0

    def read(self, statement: str, values: Sequence[Value] = ()) -> list[Row]:
        """The rows that a query finds; none where there is no database."""
        connection = self._open(create=False)
        if connection is None:
            return []
        try:
            return connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            self._failed(error)
            return []

    def write(self, statement: str, rows: Sequence[Sequence[Value]]) -> bool:
        """Run a statement for each row, all or none; False if nothing was kept."""
        for _ in range(2):
            connection = self._open(create=True)
            if connection is None:
                return False
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    connection.executemany(statement, rows)
                finally:
                    connection.execute("COMMIT")
            except sqlite3.Error as error:
                # A damaged file is replaced; then there is a second try.
                if not self._failed(error):
                    return False
            else:
                return True
        return False

    def changes(self) -> tuple[int, int] | None:
        """A value that stays the same as long as nobody else writes; None without a file."""
        connection = self._open(create=False)
        if connection is None:
            return None
        try:
            ((version,),) = connection.execute("PRAGMA data_version").fetchall()
        except sqlite3.Error as error:
            self._failed(error)
            return None
        return self._file[1], int(version)

    def close(self) -> None:
        """Give the connection back; the next use opens another."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
        self._connection = None

    def _open(self, *, create: bool) -> sqlite3.Connection | None:
        try:
            status = os.stat(self.path)
        except OSError:
            self.close()
            return self._make() if create else None
        if self._connection is not None:
            if self._file == (status.st_dev, status.st_ino):
                assert self._pid == os.getpid(), "a database must not cross a fork"
                return self._connection
            self.close()  # somebody removed the file that we knew
        return self._connect()

    def _make(self) -> sqlite3.Connection | None:
        try:
            os.makedirs(os.path.dirname(self.path), 0o700, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            os.close(os.open(self.path, flags, 0o600))
        except OSError:
            return None
        return self._connect()

    def _connect(self) -> sqlite3.Connection | None:
        try:
            connection = sqlite3.connect(
                self.path, timeout=_PATIENCE, isolation_level=None, cached_statements=32
            )
            self._connection = connection
            self._pid = os.getpid()
            status = os.stat(self.path)
            self._file = (status.st_dev, status.st_ino)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            connection.executescript(self._schema)
        except sqlite3.Error as error:
            if self._failed(error):
                return self._make()
            self.close()
            return None
        except OSError:
            self.close()
            return None
        return connection

    def _failed(self, error: sqlite3.Error) -> bool:
        """Remove the database if the error says that it is damaged; True if that was done."""
        self.close()
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            return False
        removed = False
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                os.unlink(self.path + suffix)
                removed = True
        return removed
