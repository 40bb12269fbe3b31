"""The sendmail-compatible command line: one table says every option, what it takes and does.

Programs have called `sendmail` with these options for decades, so the rules are old ones:
an option's argument may be joined to it or be the next word, options may follow recipients,
`--` ends them, and several names of the program stand for an option each.  An option that is
not in the table is refused; to guess at it could send mail to somebody it was not meant for.

This is run once for each message that a program sends.  It imports nothing that takes a
millisecond, which is why its values are plain classes: `dataclasses` alone takes ten.
"""

from __future__ import annotations

# What follows an option.
NOTHING = ""  # it stands alone
JOINED = "joined"  # the rest of the word, which may be empty
ARGUMENT = "argument"  # the rest of the word, or else the next word

# Who may use it.  The program that receives the request decides; this column is for readers.
ANYBODY = "anybody"
TRUSTED = "trusted users"
ADMINISTRATOR = "administrators"


class UsageError(Exception):
    """The command line cannot be understood, or asks for what is not there."""


class Row:
    """One option.

    It is spelt as in the manual: `-t` stands alone, `-f ADDRESS` takes the rest of the word or
    else the next word, `-x[TEXT]` takes only what is joined to it.  `sets` names the attribute
    of Request that it changes, to `value` or to its argument; "" changes nothing.
    """

    __slots__ = ("flag", "help", "sets", "shown", "spelling", "takes", "value", "who")

    def __init__(
        self, spelling: str, sets: str, value: str | bool, text: str, who: str = ANYBODY
    ) -> None:
        flag, blank, shown = spelling.partition(" ")
        self.takes = ARGUMENT if blank else NOTHING
        if "[" in flag:
            flag, _, shown = spelling[:-1].partition("[")
            self.takes = JOINED
        self.spelling = spelling
        self.flag = flag
        self.shown = shown
        self.sets = sets
        self.value = value
        self.help = text
        self.who = who


class Request:
    """What a command line asks for."""

    __slots__ = (
        "about",
        "background",
        "config",
        "delivery",
        "dots_end",
        "dsn_envid",
        "dsn_notify",
        "dsn_ret",
        "from_headers",
        "full_name",
        "interval",
        "later",
        "macros",
        "mode",
        "operands",
        "queue_flags",
        "selection",
        "sender",
        "suppress_fixups",
        "verbose",
    )

    def __init__(self) -> None:
        self.mode = "submit"
        self.sender: str | None = None  # None: who the caller is
        self.full_name = ""
        self.from_headers = False
        self.dots_end = True
        self.delivery = ""  # "" as configured; "background", "foreground", "queue"
        self.suppress_fixups = False
        self.dsn_ret = ""
        self.dsn_notify = ""
        self.dsn_envid = ""
        self.config = ""
        self.macros: list[str] = []
        self.interval = ""
        self.queue_flags = ""  # of -q: some of q i f ff l
        self.selection: tuple[str, str] | None = None  # -R, -Sf … and the text
        self.about = ""  # the message of -Mset
        self.verbose = False
        self.background = False
        self.later = ""  # an option that is known but does nothing yet
        self.operands: list[str] = []  # recipients, or message ids


def _ignored(spelling: str, text: str) -> Row:
    return Row(spelling, "", "", text)


def _later(spelling: str, text: str, who: str = ANYBODY) -> Row:
    row = Row(spelling, "later", "", text, who)
    row.value = row.flag
    return row


def _mode(flag: str, mode: str, text: str, who: str = ANYBODY) -> Row:
    return Row(flag, "mode", mode, text, who)


def _selecting(letter: str, where: str) -> list[Row]:
    """The options that run the queue for some messages only."""
    rows = []
    for how, means in (
        ("", "with the text in {}"),
        ("f", "the same, due or not"),
        ("ff", "the same, frozen or not"),
        ("r", "with {} that the regular expression matches"),
        ("rf", "the same, due or not"),
        ("rff", "the same, frozen or not"),
    ):
        text = f"Try messages {means.format(where)}."
        flag = f"-{letter}{how}"
        # Sendmail's -R is an option for sending, declared there.
        if flag != "-R":
            rows.append(Row(f"{flag} TEXT", "selection", "", text, ADMINISTRATOR))
    return rows


SENDING = (
    _mode("-bm", "submit", "Take a message from standard input; this is the default."),
    Row("-t", "from_headers", True, "Send to whom To:, Cc: and Bcc: name."),
    Row("-ti", "ti", True, "The same as -t -i."),
    Row("-i", "dots_end", False, "A line of one dot does not end the message."),
    Row("-oi", "dots_end", False, "The same as -i."),
    Row("-oitrue", "dots_end", False, "The same as -i."),
    Row("-f ADDRESS", "sender", "", "The sender; <> for none.", TRUSTED),
    Row("-r ADDRESS", "sender", "", "The same as -f.", TRUSTED),
    Row("-F NAME", "full_name", "", "The sender's name in From:."),
    Row("-odb", "delivery", "background", "Deliver at once, not waiting for it."),
    Row("-odi", "delivery", "foreground", "Deliver at once and wait for it."),
    Row("-odf", "delivery", "foreground", "The same as -odi."),
    Row("-odd", "delivery", "", "Deliver as the configuration says."),
    Row("-odq", "delivery", "queue", "Only queue; a queue run will deliver."),
    Row("-odqs", "delivery", "queue", "Only queue what is for other hosts."),
    Row("-G", "suppress_fixups", True, "Add no missing headers."),
    Row(
        "-R TEXT",
        "selection",
        "",
        "full or hdrs, for what bounces return; without recipients, try messages with the "
        "text in a recipient.",
    ),
    Row("-N WHEN", "dsn_notify", "", "never, or some of success,failure,delay."),
    Row("-V ID", "dsn_envid", "", "An id of the sender's own for reports, in xtext."),
    _mode("-bs", "smtp", "Speak SMTP on standard input and output."),
)

QUEUE = (
    _mode("-bp", "list", "List the queue, as mailq does; or the messages whose ids follow."),
    _mode("-bpc", "count", "Print how many messages are queued."),
    _mode("-bpa", "list-all", "List it with the addresses made by aliases."),
    _mode("-bpu", "list-undelivered", "List it without delivered recipients."),
    _mode("-bpi", "list-ids", "List the ids only."),
    _mode("-bpr", "list-unsorted", "List it in no order."),
    _mode("-bpra", "list-all-unsorted", "As -bpa, in no order."),
    _mode("-bpru", "list-undelivered-unsorted", "As -bpu, in no order."),
    _mode("-bpri", "list-ids-unsorted", "As -bpi, in no order."),
    Row(
        "-q[WHAT]",
        "run",
        "",
        "Try everything that is due, as runq does; from one id to another, if they follow. "
        "WHAT is a time for -bd, or some of these in this order: q two passes, i new ones, "
        "f all or ff frozen ones too, l local deliveries only.",
        ADMINISTRATOR,
    ),
    *_selecting("R", "a recipient"),
    *_selecting("S", "the sender"),
    _mode("-M", "retry", "Try the messages whose ids follow, now.", ADMINISTRATOR),
    _mode("-Mc", "retry-due", "Try them if they are due.", ADMINISTRATOR),
    _mode("-Mf", "freeze", "Freeze the messages whose ids follow.", ADMINISTRATOR),
    _mode("-Mt", "thaw", "Thaw the messages whose ids follow.", ADMINISTRATOR),
    _mode("-Mg", "give_up", "Bounce the messages whose ids follow.", ADMINISTRATOR),
    _mode("-Mrm", "remove", "Remove the messages whose ids follow.", ADMINISTRATOR),
    _mode("-Mmad", "mark_all", "Let all recipients count as delivered.", ADMINISTRATOR),
    _mode("-Mmd", "mark_delivered", "ID, and addresses that are done.", ADMINISTRATOR),
    _mode("-Mar", "add_recipients", "ID and addresses to add.", ADMINISTRATOR),
    _mode("-Mes", "change_sender", "ID and the new sender, <> for none.", ADMINISTRATOR),
    _mode("-Mvh", "view-header", "Show the envelope and headers of a message.", ADMINISTRATOR),
    _mode("-Mvb", "view-body", "Show the body of a message.", ADMINISTRATOR),
    _mode("-Mvl", "view-log", "Show the log of a message.", ADMINISTRATOR),
    _mode("-Mvc", "view-copy", "Show a message as it came.", ADMINISTRATOR),
    Row("-Mset ID", "about", "", "With -be: expand with its values.", ADMINISTRATOR),
)

OTHER = (
    _mode("-bdf", "daemon", "Run the daemon in the foreground.", ADMINISTRATOR),
    _mode("-bd", "daemon", "Run the daemon.", ADMINISTRATOR),
    _mode("-bi", "aliases", "As newaliases: alias files are read as they are; nothing to do."),
    _mode("-bP", "show", "Print the settings whose names follow, or all.", ADMINISTRATOR),
    _mode("-be", "expand", "Expand the strings that follow, or lines from standard input."),
    _mode("-bt", "test", "Show where the addresses that follow, or come in, are routed."),
    _mode("-bv", "verify", "Verify addresses as recipients."),
    _mode("-bvs", "verify-sender", "Verify addresses as senders."),
    _mode("-bV", "version", "Print the version."),
    _mode("--version", "version", "The same as -bV."),
    _mode("--help", "help", "Print this."),
    Row("-C FILE", "config", "", "The configuration file."),
    Row("-D NAME=VALUE", "macros", "", "Set a macro of the configuration."),
    Row("-v", "verbose", True, "Say more."),
    Row("-ov", "verbose", True, "The same as -v."),
)

IGNORED = (
    _ignored("-B TYPE", "7BIT or 8BITMIME; every octet is kept in any case."),
    _ignored("-e[e|m|p|q|w]", "How errors are reported; they go to standard error."),
    _ignored("-oe[e|m|p|q|w]", "The same as -e."),
    _ignored("-h COUNT", "A hop count; Received: headers are counted instead."),
    _ignored("-L TAG", "A name for the system log."),
    _ignored("-m", "Send to the sender too, when an alias names him; it does."),
    _ignored("-om", "The same as -m."),
    _ignored("-oo", "Old style headers."),
    _ignored("-oA FILE", "An alias file."),
    _ignored("-oB[COUNT]", "The most messages of one connection."),
    _ignored("-or TIME", "How long to wait for the message."),
    _ignored("-os TIME", "How long to wait for an SMTP command."),
    _ignored("-O OPTION=VALUE", "An option of Sendmail's."),
    _ignored("-n", "No aliases; it is the configuration that says so."),
    _ignored("-U", "The first submission of a message."),
    _ignored("-x[TEXT]", "Of AIX."),
    _ignored("-X FILE", "A log of the whole conversation."),
)

LATER = (
    _later("-bS", "Batched SMTP on standard input."),
    _later("-bh ADDRESS", "Try an SMTP session as if from this address."),
    _later("-bhc ADDRESS", "The same with callouts."),
    _later("-brt", "Try the retry rules."),
    _later("-brw", "Try the rewriting rules."),
    _later("-bem FILE", "Expand strings with the values of a message."),
    _later("-bf[FILE]", "Try a filter."),
    _later("-bF FILE", "Try a system filter."),
    _later("-bw[TIME]", "Wait for connections under inetd."),
    _later("-bI:[WHAT]", "Say what is built in."),
    _later("-bnq", "Do not qualify addresses."),
    _later("-bmalware FILE", "Try the malware scanner.", ADMINISTRATOR),
    _later("-d[WHAT]", "Debugging output.", ADMINISTRATOR),
    _later("-E[ID]", "The message is a bounce."),
    _later("-MG QUEUE", "Move messages to another queue.", ADMINISTRATOR),
    _later("-oM[WHAT]", "Pretend where a message comes from.", TRUSTED),
    _later("-oX ADDRESSES", "Where the daemon listens.", ADMINISTRATOR),
    _later("-oP FILE", "The daemon's pid file.", ADMINISTRATOR),
    _later("-oPX", "Remove the daemon's pid file.", ADMINISTRATOR),
    _later("-oY", "No notifier socket.", ADMINISTRATOR),
    _later("-p[PROTOCOL]", "How the message was received.", TRUSTED),
    _later("-qG[NAME]", "Runs of a named queue.", ADMINISTRATOR),
    _later("-tls-on-connect", "TLS from the first octet."),
    _later("-Tqt TIME", "Pretend that time has passed.", ADMINISTRATOR),
    _later("-z TEXT", "Write a line to the log.", ADMINISTRATOR),
)

# The internal options by which Exim calls itself are nobody's to use.
NEVER = ("-MC", "-MS")

TOPICS = (
    ("Sending", SENDING),
    ("The queue", QUEUE),
    ("Other", OTHER),
    ("Accepted, but without effect", IGNORED),
)

NAMES = {  # names of the program that stand for an option
    "mailq": "-bp",
    "runq": "-q",
    "newaliases": "-bi",
    "rmail": "-i",
    "rsmtp": "-bS",
}


def _table() -> dict[str, Row]:
    rows: dict[str, Row] = {}
    for row in (*SENDING, *QUEUE, *OTHER, *IGNORED, *LATER):
        assert row.flag not in rows, f"option {row.flag} is declared twice"
        rows[row.flag] = row
    return rows


TABLE = _table()
_DIGITS = frozenset("0123456789")
_LONGEST = max(len(flag) for flag in TABLE)


def parse(name: str, arguments: list[str]) -> Request:
    """What the program called `name` is asked for.  Raises UsageError."""
    request = Request()
    if name in NAMES:
        _apply(request, TABLE[NAMES[name]], "")
    words = iter(arguments)
    for word in words:
        if word == "--":
            request.operands.extend(words)
        elif word[:1] != "-" or word == "-":
            request.operands.append(word)
        else:
            row, argument = _find(word)
            if argument is None:
                argument = next(words, None)
            if argument is None:
                raise UsageError(
                    f"option {row.flag} needs an argument: {row.flag} {row.shown}"
                )
            _apply(request, row, argument)
    _settle_selection(request)
    return request


def _settle_selection(request: Request) -> None:
    """Tell Sendmail's -R, which goes with a message, from Exim's, which runs the queue."""
    if request.selection is None:
        return
    flag, text = request.selection
    sends = request.mode == "submit" and (request.operands or request.from_headers)
    if flag.startswith("-R") and sends:
        wanted = flag[2:] + text  # -Rfull has been read as -Rf ull
        if wanted not in ("full", "hdrs"):
            raise UsageError(f"option -R takes full|hdrs, not {wanted!r}")
        request.dsn_ret, request.selection = wanted, None
    elif request.mode in ("submit", "run"):
        request.mode = "run"


def _find(word: str) -> tuple[Row, str | None]:
    """The option that a word is, and its argument: None when that is the next word."""
    if word.startswith(NEVER):
        raise UsageError(f"option {word} is internal and cannot be given")
    row = TABLE.get(word)
    if row is not None:
        return row, None if row.takes == ARGUMENT else ""
    # The longest option that the word begins with and that takes what is joined to it.
    for length in range(min(len(word) - 1, _LONGEST), 1, -1):
        row = TABLE.get(word[:length])
        if row is not None and row.takes and _fits(row, word[length:]):
            return row, word[length:]
    raise UsageError(f"unknown option {word}{_meant(word)}")


def _fits(row: Row, argument: str) -> bool:
    if "|" in row.shown:
        return argument in row.shown.split("|")
    if row.shown == "COUNT":
        return set(argument) <= _DIGITS
    return row.flag != "-q" or argument[:1] in _DIGITS or _is_queue_flags(argument)


def _is_queue_flags(text: str) -> bool:
    rest = text.removeprefix("q").removeprefix("i").removeprefix("f").removeprefix("f")
    return rest in ("", "l")


def _meant(word: str) -> str:
    from mta.base.registry import suggestion

    phrase = suggestion(word, [flag for flag, row in TABLE.items() if row.sets != "later"])
    return f"; {phrase}" if phrase else "; --help lists what there is"


def _apply(request: Request, row: Row, argument: str) -> None:
    if not _fits(row, argument) and row.flag != "-q":
        raise UsageError(f"option {row.flag} takes {row.shown}, not {argument!r}")
    if row.sets == "ti":
        request.from_headers, request.dots_end = True, False
    elif row.sets == "macros":
        request.macros.append(argument)
    elif row.sets == "run" and argument[:1] in _DIGITS and argument:
        request.interval = argument
    elif row.sets == "run":
        request.mode, request.queue_flags = "run", argument
    elif row.sets == "selection":
        request.selection = (row.flag, argument)
    elif row.sets == "later":
        request.later = request.later or row.flag
    elif row.sets:
        setattr(request, row.sets, argument if row.takes else row.value)
    if row.sets == "dsn_notify" and not _is_notify(argument):
        raise UsageError("option -N takes never, or some of success,failure,delay")
    if row.flag == "-bd":
        request.background = True


def _is_notify(text: str) -> bool:
    wishes = text.split(",")
    return text == "never" or set(wishes) <= {"success", "failure", "delay"}


def help_text(name: str) -> str:
    """What --help prints."""
    usage, purpose = PURPOSES.get(name, PURPOSES["sendmail"])
    lines = [f"usage: {name} {usage}", "", purpose]
    if name in PURPOSES and name != "sendmail":
        return "\n".join([*lines, "For the options see: sendmail --help", ""])
    for topic, rows in TOPICS:
        lines += ["", f"{topic}:"]
        for row in rows:
            who = "" if row.who == ANYBODY else f" ({row.who})"
            lines.append(f"  {row.spelling:<18} {row.help}{who}")
    lines += ["", "Examples:", *(f"  {call:<44} {what}" for call, what in EXAMPLES), ""]
    return "\n".join(lines)


PURPOSES = {
    "sendmail": (
        "[OPTION...] RECIPIENT... < MESSAGE",
        "Send a message, or list and steer the queue, with the options of sendmail(1).",
    ),
    "mailq": ("[OPTION...]", "List the messages that wait, as sendmail -bp does."),
    "runq": ("[OPTION...]", "Try all messages that are due, as sendmail -q does."),
    "newaliases": ("", "Do nothing: alias files are read as they are."),
}

EXAMPLES = (
    ("sendmail -t -oi < message", "as the headers of the message say"),
    ("sendmail -f owner@list.example a@b.example", "one recipient, another sender"),
    ("sendmail -odq -- -odd@b.example", "only queue; a recipient that begins with -"),
    ("sendmail -bp", "what is in the queue"),
)
