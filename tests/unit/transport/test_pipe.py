"""Tests of delivery to commands: what they get, what their end means, what they cannot do."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mta.base.errors import ConfigError
from mta.base.trust import Trusted
from mta.route.api import Host
from mta.transport.api import Outcome, Parcel, ParcelRecipient, Result
from mta.transport.engine import Transport
from tests.unit.transport.conftest import ALICE

Load = Callable[[str], Transport]
MakeParcel = Callable[..., Parcel]
Deliver = Callable[[Transport, Parcel], list[Outcome]]
Run = Callable[..., Outcome]

BOB = replace(ALICE, address="bob@example.org", origin="bob@example.org", local_part="bob")
MESSAGE = "Subject: hi\nBcc: c@example.net\n\nhello\n"
BARE = "message_prefix =\nmessage_suffix =\n"


@pytest.fixture
def run(load: Load, deliver: Deliver, parcel: MakeParcel) -> Run:
    """The outcome of a shell command with further options."""

    def make(script: str, options: str = "", **changes: Any) -> Outcome:
        transport = load(f"driver = pipe\ncommand = /bin/sh -c '{script}'\n{options}\n")
        (outcome,) = deliver(transport, parcel(**changes))
        return outcome

    return make


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def meaning(outcome: Outcome) -> tuple[Result, str]:
    return outcome.result, outcome.text


# ---- what a command gets


def test_a_command_gets_the_message_as_a_mailbox_would(
    run: Run, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mta.base.clock.now", lambda: 1763910421.0)
    monkeypatch.setenv("TZ", "UTC")
    assert meaning(run(f"cat > {out}")) == (Result.DONE, "")
    first, rest = out.read_text().split("\n", 1)
    assert first == "From bob@example.com Sun Nov 23 15:07:01 2025"
    assert rest == MESSAGE + "\n"


def test_a_bounce_comes_from_the_mailer_daemon(run: Run, out: Path) -> None:
    run(f"cat > {out}", sender="", values={"sender_address": ""})
    assert out.read_text().startswith("From MAILER-DAEMON ")


def test_the_return_path_may_be_another(run: Run, out: Path) -> None:
    run(f"cat > {out}", "return_path = x@y\nreturn_path_add")
    lines = out.read_text().split("\n")
    assert lines[0].startswith("From x@y ")
    assert lines[1] == "Return-path: <x@y>"


def test_the_environment_is_exims_and_nothing_else(
    run: Run, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    home = Trusted(str(out.parent))
    at_home = replace(ALICE, home=home, prefix="pre-", suffix="-suf")
    run(f"/usr/bin/env > {out}", recipients=(at_home,), hosts=(Host("h.example"),))
    found = dict(line.split("=", 1) for line in out.read_text().split("\n") if line)
    for shells_own in ("PWD", "OLDPWD", "_", "SHLVL"):
        found.pop(shells_own, None)
    assert found == {
        "LOCAL_PART": "alice",
        "LOGNAME": "alice",
        "USER": "alice",
        "LOCAL_PART_PREFIX": "pre-",
        "LOCAL_PART_SUFFIX": "-suf",
        "DOMAIN": "example.org",
        "HOME": home,
        "MESSAGE_ID": "1vNcbb-000000000Ab-1234",
        "PATH": "/bin:/usr/bin",
        "RECIPIENT": "pre-alice-suf@example.org",
        "QUALIFY_DOMAIN": "mx.example.org",
        "SENDER": "bob@example.com",
        "SHELL": "/bin/sh",
        "HOST": "h.example",
    }


def test_the_environment_can_be_added_to(run: Run, out: Path) -> None:
    options = "environment = A=1 : B=$h_subject: : PATH=/usr/bin:: /bin"
    run(f"echo $A,$B,$PATH > {out}".replace("$", "\\$"), options)
    assert out.read_text() == "1,hi,/usr/bin: /bin\n"


def test_a_stranger_sets_no_variable_of_his_own(run: Run, out: Path) -> None:
    run(
        f"/usr/bin/env > {out}",
        "environment = S=$h_subject:",
        headers=b"Subject: a:LD_PRELOAD=/tmp/evil:S=b\n",
    )
    said = out.read_text()
    assert "LD_PRELOAD" not in said
    assert "\nS=b\n" in f"\n{said}"


def test_it_runs_at_home_or_where_an_option_says(run: Run, out: Path, tmp_path: Path) -> None:
    run(f"pwd > {out}")
    assert out.read_text() == "/\n"
    run(f"pwd > {out}", f"home_directory = {tmp_path}")
    assert out.read_text() == f"{tmp_path}\n"
    run(f"pwd > {out}", f"home_directory = {tmp_path}\ncurrent_directory = /usr")
    assert out.read_text() == "/usr\n"
    outcome = run("pwd", "current_directory = /nonexistent")
    assert (outcome.result, outcome.text, outcome.code) == (
        Result.DEFER,
        "failed to chdir to /nonexistent",
        2,
    )


def test_umask_and_core_limit_and_group_are_set(run: Run, out: Path) -> None:
    group = "read -r _ _ _ _ group _ < /proc/\\$\\$/stat; echo \\$group"
    run(f"(umask; ulimit -c; {group}; echo \\$\\$) > {out}", "umask = 027")
    umask, core, leader, pid = out.read_text().split("\n")[:4]
    assert (umask, core, leader) == ("0027", "0", pid)


def test_it_inherits_no_descriptor_of_ours(run: Run, out: Path) -> None:
    run(f"ls -l /proc/self/fd > {out}")
    assert "-D" not in out.read_text()
    run(f"exec /bin/ls /proc/self/fd > {out}")
    assert out.read_text().split("\n")[:3] == ["0", "1", "2"]
    assert len(out.read_text().split("\n")) == 5  # and the one that ls itself opened


def test_signals_are_as_at_birth(run: Run, out: Path) -> None:
    run(f"grep -e SigIgn -e SigBlk /proc/self/status > {out}")
    ignored = dict(line.split(":\t") for line in out.read_text().split("\n") if line)
    assert set(ignored.values()) == {"0000000000000000"}


def test_lines_are_escaped_and_ended_as_wanted(run: Run, out: Path) -> None:
    options = BARE + 'check_string = "From "\nescape_string = ">From "\n'
    body = b"From a\nx From b\nFrom c"
    run(f"cat > {out}", options, headers=b"From : x\n", body=body)
    assert out.read_bytes() == b">From : x\n\n>From a\nx From b\n>From c"
    run(f"cat > {out}", options + "use_crlf", headers=b"A: x\n", body=body)
    assert out.read_bytes() == b"A: x\r\n\r\n>From a\r\nx From b\r\n>From c"


def test_prefix_and_suffix_can_be_changed(run: Run, out: Path) -> None:
    run(f"cat > {out}", "message_prefix = <$domain>\\n\nmessage_suffix = end\\n")
    assert out.read_text() == f"<example.org>\n{MESSAGE}end\n"


def test_batch_smtp_is_the_conversation_without_answers(run: Run, out: Path) -> None:
    run(f"cat > {out}", "use_bsmtp", headers=b"A: x\n", body=b".dot\nend")
    assert out.read_text() == (
        "MAIL FROM:<bob@example.com>\nRCPT TO:<alice@example.org>\nDATA\n"
        "A: x\n\n..dot\nend\n.\n"
    )
    options = 'use_bsmtp\nuse_crlf\nmessage_prefix = "HELO x\\\\r\\\\n"'
    run(f"cat > {out}", options, headers=b"A: x\n", body=b".dot\n")
    assert out.read_bytes() == (
        b"HELO x\r\nMAIL FROM:<bob@example.com>\r\nRCPT TO:<alice@example.org>\r\nDATA\r\n"
        b"A: x\r\n\r\n..dot\r\n.\r\n"
    )


def test_several_recipients_share_a_command(
    load: Load, deliver: Deliver, parcel: MakeParcel, out: Path
) -> None:
    script = (
        f'(for a in "\\$@"; do echo "<\\$a>"; done; echo "\\$LOCAL_PART@\\$DOMAIN") > {out}'
    )
    transport = load(
        f"driver = pipe\nbatch_max = 5\ncommand = /bin/sh -c '{script}' x $pipe_addresses\n"
    )
    outcomes = deliver(transport, parcel(recipients=(ALICE, BOB)))
    assert [(each.address, each.result) for each in outcomes] == [
        ("alice@example.org", Result.DONE),
        ("bob@example.org", Result.DONE),
    ]
    assert out.read_text() == "<alice@example.org>\n<bob@example.org>\n@example.org\n"


def test_body_or_headers_may_be_left_out(run: Run, out: Path) -> None:
    run(f"cat > {out}", BARE + "body_only\nreturn_path_add")
    assert out.read_text() == "hello\n"
    run(f"cat > {out}", BARE + "headers_only\nreturn_path_add")
    assert out.read_text() == "Return-path: <bob@example.com>\n" + MESSAGE.removesuffix(
        "hello\n"
    )


# ---- where the command comes from


def test_an_address_may_name_the_command(
    load: Load, deliver: Deliver, parcel: MakeParcel, out: Path
) -> None:
    child = replace(ALICE, address="|/bin/x:alice@example.org")
    named = Trusted(f'/bin/sh -c "(echo \\$LOCAL_PART $local_part) > {out}"')
    (outcome,) = deliver(load("driver = pipe\n"), parcel(recipients=(child,), pipe=named))
    assert outcome == Outcome("|/bin/x:alice@example.org", Result.DONE)
    # Not expanded: what remains are variables of the shell.
    assert out.read_text() == "alice\n"


def test_a_command_that_a_stranger_had_a_say_in_is_not_run(
    load: Load, deliver: Deliver, parcel: MakeParcel, out: Path
) -> None:
    for options in ("driver = pipe\n", "driver = pipe\nuse_shell\n"):
        (outcome,) = deliver(load(options), parcel(pipe=f"/bin/touch {out}"))
        assert outcome.result is Result.DEFER
        assert outcome.text.startswith(
            f"Tainted '/bin/touch {out}' (command for t1 transport) not permitted"
        )
    assert not out.exists()


def test_a_wrapper_may_be_forced_around_it(
    load: Load, deliver: Deliver, parcel: MakeParcel
) -> None:
    transport = load(
        "driver = pipe\nforce_command\ncommand = /bin/echo A $address_pipe x$address_pipe\n"
        "return_output\n"
    )
    named = Trusted("/bin/foo 'c d'")
    (outcome,) = deliver(transport, parcel(pipe=named))
    assert outcome.output == "A /bin/foo c d x|/bin/foo 'c d'\n"


def test_without_any_command_it_waits(
    load: Load, deliver: Deliver, parcel: MakeParcel
) -> None:
    (outcome,) = deliver(load("driver = pipe\n"), parcel())
    assert meaning(outcome) == (Result.DEFER, "no command specified for t1 transport")


def test_strangers_text_is_no_argument(run: Run) -> None:
    outcome = run('echo "$local_part"')
    assert (outcome.result, outcome.told) == (Result.FAIL, "")
    assert outcome.text == "Tainted arg 2 for t1 transport command: 'echo \"alice\"'"


def test_a_shell_gets_the_whole_line_but_no_stranger(
    load: Load, deliver: Deliver, parcel: MakeParcel, out: Path
) -> None:
    transport = load(f"driver = pipe\nuse_shell\ncommand = echo $local_part_data >{out}\n")
    deliver(transport, parcel())
    assert out.read_text() == "alice\n"
    transport = load(f"driver = pipe\nuse_shell\ncommand = echo $local_part >{out}\n")
    (outcome,) = deliver(transport, parcel())
    assert meaning(outcome) == (
        Result.FAIL,
        f"Tainted arg 2 for t1 transport command: 'echo alice >{out}'",
    )


def test_only_permitted_commands_run(load: Load, deliver: Deliver, parcel: MakeParcel) -> None:
    transport = load("driver = pipe\ncommand = cat\nallow_commands = /bin/cat : tac\n")
    (outcome,) = deliver(transport, parcel())
    assert (outcome.result, outcome.text, outcome.told) == (
        Result.FAIL,
        '"cat" command not permitted by t1 transport',
        "",
    )
    transport = load("driver = pipe\ncommand = tac\nallow_commands = /bin/cat : tac\n")
    assert deliver(transport, parcel())[0].result is Result.DONE


# ---- what its end means

RETURNED = "Child process of t1 transport returned"


@pytest.mark.parametrize(
    ("script", "options", "result", "text"),
    [
        ("exit 0", "", Result.DONE, ""),
        ("exit 1", "", Result.FAIL, f"{RETURNED} 1 from command: /bin/sh"),
        (
            "exit 67",
            "",
            Result.FAIL,
            f"{RETURNED} 67 (could mean user nonexistent) from command: /bin/sh",
        ),
        (
            "exit 75",
            "",
            Result.DEFER,
            f"{RETURNED} 75 (could mean temporary error) from command: /bin/sh",
        ),
        (
            "exit 73",
            "",
            Result.DEFER,
            f"{RETURNED} 73 (could mean can't create output file) from command: /bin/sh",
        ),
        (
            "exit 130",
            "",
            Result.FAIL,
            f"{RETURNED} 130 (could mean shell command ended by signal 2 (Interrupt))"
            " from command: /bin/sh",
        ),
        (
            "exit 255",
            "",
            Result.FAIL,
            f"{RETURNED} 255 (could mean shell command ended by signal 127"
            " (Unknown signal 127)) from command: /bin/sh",
        ),
        ("exit 3", "ignore_status", Result.DONE, ""),
        ("exit 3", "temp_errors = *", Result.DEFER, f"{RETURNED} 3 from command: /bin/sh"),
        ("exit 4", "temp_errors = 3 : 4", Result.DEFER, f"{RETURNED} 4 from command: /bin/sh"),
        (
            "exit 75",
            "temp_errors = 3",
            Result.FAIL,
            f"{RETURNED} 75 (could mean temporary error) from command: /bin/sh",
        ),
    ],
)
def test_exit_codes_mean_what_they_mean_to_exim(
    run: Run, script: str, options: str, result: Result, text: str
) -> None:
    outcome = run(script, options)
    assert meaning(outcome) == (result, text)
    told = "local delivery failed" if result is Result.FAIL else None
    assert outcome.told == told


KILLED = (
    "Child process of t1 transport (running command \"/bin/sh -c 'kill -9 \\$\\$'\")"
    " was terminated by signal 9 (Killed)"
)


@pytest.mark.parametrize(
    ("options", "result", "text", "freeze"),
    [
        ("", Result.FAIL, KILLED, False),
        ("ignore_status", Result.DONE, "", False),
        ("freeze_signal", Result.DEFER, KILLED, True),
        ("freeze_signal\nignore_status", Result.DEFER, KILLED, True),
    ],
)
def test_a_signal_is_a_failure_or_freezes(
    run: Run, options: str, result: Result, text: str, freeze: bool
) -> None:
    outcome = run("kill -9 \\$\\$", options)
    assert (outcome.result, outcome.text, outcome.freeze) == (result, text, freeze)


@pytest.mark.parametrize("command", ["/nonexistent a b", "/etc/passwd a b"])
def test_what_cannot_be_run_counts_as_127(
    load: Load, deliver: Deliver, parcel: MakeParcel, command: str
) -> None:
    (outcome,) = deliver(load(f"driver = pipe\ncommand = {command}\n"), parcel())
    assert meaning(outcome) == (
        Result.FAIL,
        f"{RETURNED} 127 (could mean unable to exec or command does not exist)"
        f" from command: {command[:-4]}",
    )
    transport = load(f"driver = pipe\ncommand = {command}\nfreeze_exec_fail\nignore_status\n")
    (outcome,) = deliver(transport, parcel())
    assert (outcome.result, outcome.text, outcome.freeze) == (
        Result.DEFER,
        f'pipe process failed to exec "{command}"',
        True,
    )


@pytest.fixture
def instantly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the clock is an hour later than the one before."""
    times = iter(range(0, 10**9, 7200))
    monkeypatch.setattr("mta.base.clock.monotonic", lambda: float(next(times)))


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file; much time passes when a command has made it."""
    made = tmp_path / "mark"
    monkeypatch.setattr("mta.base.clock.monotonic", lambda: 1e6 if made.exists() else 0.0)
    return made


def test_a_command_that_takes_too_long_is_killed_with_its_children(
    run: Run, tmp_path: Path, mark: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    outcome = run(f"exec 3>{pipe}; sleep 1000 & touch {mark}; echo; sleep 1000")
    assert meaning(outcome) == (Result.FAIL, "pipe delivery process timed out")
    assert outcome.told == "local delivery failed"
    os.set_blocking(reader, True)
    assert os.read(reader, 1) == b"", "a child still holds the fifo"
    os.close(reader)
    mark.unlink()
    outcome = run(f"touch {mark}; echo; sleep 1000", "timeout_defer")
    assert meaning(outcome) == (Result.DEFER, "pipe delivery process timed out")


LARGE = b"0123456789abcdef\n" * 50_000


def test_a_command_need_not_read_its_message(run: Run) -> None:
    assert run("exit 0", body=LARGE).result is Result.DONE
    assert run("exit 1", body=LARGE).result is Result.FAIL


def test_a_command_may_speak_while_it_is_fed(run: Run) -> None:
    outcome = run("cat", "return_output\nmax_output = 10M\n" + BARE, body=LARGE)
    assert meaning(outcome) == (Result.FAIL, "return message generated")
    assert outcome.output.startswith(MESSAGE.removesuffix("hello\n") + "0123456789abcdef\n")


# ---- output


@pytest.mark.parametrize(
    ("script", "options", "result", "output"),
    [
        ("echo a; echo b >&2", "", Result.DONE, ""),
        ("echo a; echo b >&2", "return_output", Result.FAIL, "a\nb\n"),
        ("true", "return_output", Result.DONE, ""),
        ("echo a; exit 4", "return_output", Result.FAIL, "a\n"),
        ("echo a; exit 75", "return_output", Result.FAIL, "a\n"),
        ("exit 75", "return_output", Result.DEFER, ""),
        ("echo a; exit 4", "return_fail_output", Result.FAIL, "a\n"),
        ("echo a", "return_fail_output", Result.DONE, ""),
        ("echo a; exit 75", "return_fail_output", Result.DEFER, ""),
        ("echo a; exit 4", "", Result.FAIL, ""),
        (r'printf "a\\000b"', "return_output", Result.FAIL, "ab"),
    ],
)
def test_output_goes_into_the_bounce_where_that_is_wanted(
    run: Run, script: str, options: str, result: Result, output: str
) -> None:
    outcome = run(script, options)
    assert (outcome.result, outcome.output) == (result, output)


def test_a_bounce_gets_no_output_back(run: Run) -> None:
    outcome = run("echo a", "return_output", sender="", values={"sender_address": ""})
    assert (outcome.result, outcome.output) == (Result.DONE, "")


@pytest.mark.parametrize(
    ("script", "options", "note"),
    [
        ("echo a; echo b", "", ""),
        ("echo a; echo b", "log_output", "t1 transport output: a"),
        ("echo a; exit 2", "log_output", "t1 transport output: a"),
        ("true", "log_output", ""),
        ("echo; echo b", "log_output", "t1 transport output: "),
        ("echo a", "log_fail_output", ""),
        ("echo a; exit 2", "log_fail_output", "t1 transport output: a"),
        ("echo a; exit 75", "log_fail_output", ""),
        ("echo a; exit 75", "log_defer_output", "t1 transport output: a"),
        ("echo a; exit 2", "log_defer_output", ""),
    ],
)
def test_the_first_line_is_logged_where_that_is_wanted(
    run: Run, script: str, options: str, note: str
) -> None:
    assert run(script, options).note == note


def test_one_that_says_too_much_is_killed(run: Run) -> None:
    outcome = run("exec yes", "max_output = 100\nreturn_output")
    assert outcome.result is Result.FAIL
    assert outcome.text.endswith("was terminated by signal 9 (Killed)")
    assert outcome.output == (
        "y\n" * 50 + "\n\n*** Too much output - remainder discarded ***\n"
    )


def test_only_the_first_of_several_has_the_output(
    load: Load, deliver: Deliver, parcel: MakeParcel
) -> None:
    transport = load(
        "driver = pipe\nbatch_max = 5\ncommand = /bin/echo x\nreturn_output\nlog_output\n"
    )
    first, second = deliver(transport, parcel(recipients=(ALICE, BOB)))
    assert (first.output, first.note) == ("x\n", "t1 transport output: x")
    assert (second.output, second.note) == ("", "")
    assert meaning(first) == meaning(second) == (Result.FAIL, "return message generated")


# ---- filters


def test_a_message_goes_through_its_filter(run: Run, out: Path) -> None:
    run(f"cat > {out}", BARE + "transport_filter = /usr/bin/tr a-z A-Z")
    assert out.read_text() == MESSAGE.upper()  # ascii: ours


def test_a_filter_may_leave_no_body_or_nothing_at_all(run: Run, out: Path) -> None:
    run(f"cat > {out}", BARE + "transport_filter = /usr/bin/head -n 1")
    assert out.read_text() == "Subject: hi\n"
    run(f"cat > {out}", BARE + "transport_filter = /bin/true")
    assert out.read_text() == ""


def test_a_large_message_goes_through_a_filter(run: Run, out: Path) -> None:
    run(f"cat > {out}", BARE + "transport_filter = /bin/cat", body=LARGE)
    assert out.read_bytes() == b"Subject: hi\nBcc: c@example.net\n\n" + LARGE


@pytest.mark.parametrize(
    ("filter_", "code", "text"),
    [
        ("/bin/false", -24, "Transport filter process failed (1)"),
        (
            "/nonexistent",
            -24,
            "Transport filter process failed (127): unable to execute command",
        ),
        ("cat", -24, "Transport filter process failed (127): unable to execute command"),
        ("/bin/sh -c 'kill -9 \\$\\$'", -24, "Transport filter process failed (-9)"),
        (
            "/bin/cat ${if",
            -1,
            'Expansion of "${if" from command "/bin/cat ${if" in transport filter failed: '
            'condition name expected, but found ""',
        ),
    ],
)
def test_a_filter_that_fails_defers(
    run: Run, out: Path, filter_: str, code: int, text: str
) -> None:
    outcome = run(f"cat > {out}", f"transport_filter = {filter_}")
    assert (outcome.result, outcome.code, outcome.text) == (Result.DEFER, code, text)
    assert not out.exists()


def test_a_filter_gets_no_strangers_text(run: Run) -> None:
    outcome = run("cat", "transport_filter = /bin/cat $local_part")
    assert meaning(outcome) == (
        Result.FAIL,
        "Tainted arg 1 for transport filter command: 'alice'",
    )


@pytest.mark.usefixtures("instantly")
def test_a_filter_that_takes_too_long_is_like_the_command(run: Run) -> None:
    options = "transport_filter = /bin/sleep 1000"
    text = "transport filter timeout while writing to pipe"
    assert meaning(run("cat", options)) == (Result.FAIL, text)
    assert meaning(run("cat", f"{options}\ntimeout_defer")) == (Result.DEFER, text)


# ---- configuration


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("return_output\nreturn_fail_output", "both return_output and return_fail_output set"),
        ("log_output\nlog_fail_output", "both log_output and log_fail_output set"),
        ("use_shell\nallow_commands = x", "both allow_commands and use_shell set"),
        ("use_shell\nrestrict_to_path", "both restrict_to_path and use_shell set"),
        ("temp_errors = 1x", "temp_errors must be a list of numbers or an asterisk"),
        ("body_only\nheaders_only", "body_only and headers_only are mutually exclusive"),
        ("use_classresources", '"use_classresources" is not supported'),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    load: Load, options: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load(f"driver = pipe\ncommand = /bin/cat\n{options}\n")


def test_recipients_keep_their_own_addresses(
    load: Load, deliver: Deliver, parcel: MakeParcel
) -> None:
    stranger = ParcelRecipient("a@b", "a@b", "a", "b")
    transport = load("driver = pipe\nbatch_max = 2\ncommand = /bin/false\n")
    outcomes = deliver(transport, parcel(recipients=(stranger, ALICE)))
    assert [each.address for each in outcomes] == ["a@b", "alice@example.org"]
