"""What is logged, and where."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Logging(Configured):
    """What is logged, and where."""

    log_file_path = Option(
        kinds.string, "", "Where logs are written, with %s for main, reject and panic."
    )
    log_selector = Option(
        kinds.string, "", "What is logged beyond the usual, and what not: +name and -name."
    )
    pid_file_path = Option(kinds.string, "", "The file with the process id of the master.")
    write_rejectlog = Option(
        kinds.boolean, "true", "Write what was refused to the reject log also."
    )
