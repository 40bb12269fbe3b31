"""The sendmail-compatible command line: what programs write, and what it means."""

from __future__ import annotations

import pytest

from mta.cli.options import TABLE, TOPICS, Request, UsageError, help_text, parse


def parsed(*words: str, name: str = "sendmail") -> Request:
    return parse(name, list(words))


def test_words_that_are_no_options_are_recipients() -> None:
    assert parsed("a@example.com", "b@example.com").operands == [
        "a@example.com",
        "b@example.com",
    ]


def test_without_options_a_message_is_taken_and_ends_at_a_lone_dot() -> None:
    request = parsed("a@example.com")
    assert (request.mode, request.dots_end, request.from_headers) == ("submit", True, False)


@pytest.mark.parametrize(
    "words",
    [
        ("-f", "s@example.com", "r@example.com"),
        ("-fs@example.com", "r@example.com"),
        ("-r", "s@example.com", "r@example.com"),
        ("r@example.com", "-f", "s@example.com"),
        ("-oi", "-fs@example.com", "--", "r@example.com"),
    ],
)
def test_the_sender_may_be_joined_or_the_next_word_and_stand_anywhere(
    words: tuple[str, ...],
) -> None:
    request = parsed(*words)
    assert (request.sender, request.operands) == ("s@example.com", ["r@example.com"])


@pytest.mark.parametrize("word", ["<>", ""])
def test_the_sender_may_be_nobody(word: str) -> None:
    assert parsed("-f", word, "r@example.com").sender == word


def test_an_argument_may_begin_with_a_dash() -> None:
    assert parsed("-f", "-x@example.com", "r@example.com").sender == "-x@example.com"


def test_after_two_dashes_everything_is_a_recipient() -> None:
    assert parsed("--", "-t", "--", "-f").operands == ["-t", "--", "-f"]


def test_a_single_dash_is_an_operand() -> None:
    assert parsed("-").operands == ["-"]


@pytest.mark.parametrize("word", ["-i", "-oi", "-oitrue"])
def test_dots_do_not_end_the_message(word: str) -> None:
    assert parsed(word, "r@example.com").dots_end is False


def test_ti_is_t_and_i() -> None:
    request = parsed("-ti")
    assert (request.from_headers, request.dots_end) == (True, False)


@pytest.mark.parametrize(
    ("word", "delivery"),
    [
        ("-odb", "background"),
        ("-odi", "foreground"),
        ("-odf", "foreground"),
        ("-odq", "queue"),
        ("-odqs", "queue"),
        ("-odd", ""),
    ],
)
def test_how_to_deliver(word: str, delivery: str) -> None:
    assert parsed(word, "r@example.com").delivery == delivery


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("mailq", "list"),
        ("runq", "run"),
        ("newaliases", "aliases"),
        ("sendmail", "submit"),
        ("exim", "submit"),
        ("rmail", "submit"),
    ],
)
def test_the_name_of_the_program_chooses_the_mode(name: str, mode: str) -> None:
    assert parsed(name=name).mode == mode


@pytest.mark.parametrize(
    ("word", "mode"),
    [
        ("-bp", "list"),
        ("-bpc", "count"),
        ("-bs", "smtp"),
        ("-bi", "aliases"),
        ("-q", "run"),
        ("-qf", "run"),
        ("-Mg", "give_up"),
        ("-bpra", "list-all-unsorted"),
        ("-bV", "version"),
        ("--help", "help"),
    ],
)
def test_modes(word: str, mode: str) -> None:
    assert parsed(word).mode == mode


def test_ids_follow_the_option_that_acts_on_them() -> None:
    request = parsed("-Mrm", "1xVW5F-000000000tB-2FH8", "1xVW5F-000000000tH-2Juv")
    assert request.mode == "remove"
    assert request.operands == ["1xVW5F-000000000tB-2FH8", "1xVW5F-000000000tH-2Juv"]


def test_the_daemon_may_be_given_a_time_between_queue_runs() -> None:
    request = parsed("-bd", "-q30m")
    assert (request.mode, request.background, request.interval) == ("daemon", True, "30m")


@pytest.mark.parametrize(
    "word",
    [
        "-B8BITMIME",
        "-oem",
        "-oeq",
        "-em",
        "-m",
        "-om",
        "-h3",
        "-oA/etc/aliases",
        "-Lname",
        "-U",
    ],
)
def test_what_has_no_effect_is_accepted(word: str) -> None:
    request = parsed(word, "r@example.com")
    assert (request.mode, request.later, request.operands) == ("submit", "", ["r@example.com"])


def test_options_of_sendmail_for_delivery_reports() -> None:
    request = parsed("-N", "failure,delay", "-R", "hdrs", "-V", "e+2B", "r@example.com")
    wishes = (request.dsn_notify, request.dsn_ret, request.dsn_envid)
    assert wishes == ("failure,delay", "hdrs", "e+2B")


def test_macros_are_collected() -> None:
    assert parsed("-DA=1", "-DB=2", "-bp").macros == ["A=1", "B=2"]


@pytest.mark.parametrize(
    ("word", "flags"),
    [("-q", ""), ("-qf", "f"), ("-qqiffl", "qiffl"), ("-ql", "l"), ("-qi", "i")],
)
def test_what_a_queue_run_is_to_try(word: str, flags: str) -> None:
    request = parsed(word, "1xVXBP-000000000Od-0MgI")
    assert (request.mode, request.queue_flags) == ("run", flags)
    assert request.operands == ["1xVXBP-000000000Od-0MgI"]


@pytest.mark.parametrize("flag", ["-R", "-Rf", "-Rff", "-Rr", "-S", "-Sf", "-Srff"])
def test_a_queue_run_of_some_messages(flag: str) -> None:
    for words in ((flag, "a@b"), (f"{flag}a@b",)):
        request = parsed(*words)
        assert (request.mode, request.selection) == ("run", (flag, "a@b"))


def test_sendmails_own_r_goes_with_a_message() -> None:
    for words in (("-R", "hdrs", "-t"), ("-Rhdrs", "r@example.com")):
        request = parsed(*words)
        assert (request.mode, request.dsn_ret) == ("submit", "hdrs")
    assert parsed("-Rfull", "r@example.com").dsn_ret == "full"


@pytest.mark.parametrize("word", ["-bh", "-brt", "-d+all", "-oMa", "-MG", "-qGx"])
def test_what_is_not_there_yet_is_recognised(word: str) -> None:
    assert parsed(word, "x").later != ""


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("-odx", "unknown option -odx; did you mean '-odq'?"),
        ("--hepl", "unknown option --hepl; did you mean '--help'?"),
        ("-hello", "unknown option -hello; --help lists what there is"),
        ("-oez", "unknown option -oez; did you mean '-oe'?"),
        ("-k", "unknown option -k; --help lists what there is"),
        ("-f", "option -f needs an argument: -f ADDRESS"),
        ("-MCd", "option -MCd is internal and cannot be given"),
        ("-qx", "unknown option -qx; did you mean '-x'?"),
        ("-Nx", "option -N takes never, or some of success,failure,delay"),
    ],
)
def test_what_cannot_be_understood_is_refused(word: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(word)
    assert str(caught.value) == reason


def test_help_shows_every_option_that_does_something_or_is_ignored() -> None:
    shown = help_text("sendmail")
    spellings = [row.spelling for _, rows in TOPICS for row in rows]
    assert [each for each in spellings if f"  {each} " not in shown] == []
    assert len(spellings) == len([row for row in TABLE.values() if row.sets != "later"])


def test_mailq_and_runq_say_what_they_do_themselves() -> None:
    assert "List the messages that wait" in help_text("mailq")
    assert "RECIPIENT" not in help_text("mailq")
    assert help_text("runq").startswith("usage: runq [OPTION...]\n")
    assert "RECIPIENT... < MESSAGE" in help_text("exim")
