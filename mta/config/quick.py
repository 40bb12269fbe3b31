"""Where the spool is, for commands that need to know nothing else and must start fast."""

from __future__ import annotations

from mta.base.errors import ConfigError
from mta.base.text import SPACES, lower
from mta.config.reader import Reader

DEFAULT_FILE = "/etc/mta/mta.conf"
DEFAULT_SPOOL = "/var/spool/mta"


def quick_spool_directory(path: str, macros: dict[str, str] | None = None) -> str:
    """The spool_directory of a configuration, reading no further than its main section.

    What else is wrong with the configuration does not matter here.  Raises ConfigError for
    one that cannot be read.
    """
    found = DEFAULT_SPOOL
    for line in Reader(path, macros):
        text = line.text
        if lower(text[:5]) == "begin" and text[5:6] in tuple(SPACES):
            break
        if text.startswith("hide"):
            text = text[4:].lstrip(SPACES)
        if not text.startswith("spool_directory"):
            continue
        value = text[15:].lstrip(SPACES)
        if value.startswith("="):
            # No directory has an escape in its name: quotes are simply taken away.
            found = value[1:].strip(SPACES).strip('"')
    if not found.startswith("/") or "$" in found:
        raise ConfigError(None, f'spool_directory "{found}" in {path} is not an absolute path')
    return found
