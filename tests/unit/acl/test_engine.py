"""Verbs, conditions, messages and nested ACLs: what an ACL comes to."""

from __future__ import annotations

import pytest

from mta.acl.phase import Phase
from mta.acl.program import Action, Verdict
from mta.acl.verifier import Result, Verification
from tests.unit.acl.conftest import Maker

YES = "${if eq{a}{a}{yes}{no}}"
NO = "${if eq{a}{b}{yes}{no}}"
BROKEN = "${lookup{x}lsearch{/nonexistent}}"


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("accept", Action.ACCEPT),
        ("deny", Action.DENY),
        ("defer", Action.DEFER),
        ("drop", Action.DROP),
        ("discard", Action.DISCARD),
        ("", Action.DENY),
        ("warn", Action.DENY),
        ("require condition = yes\naccept", Action.ACCEPT),
        ("require condition = no\naccept", Action.DENY),
        ("accept condition = no", Action.DENY),
        ("accept condition = no\naccept", Action.ACCEPT),
        ("accept !condition = no", Action.ACCEPT),
        ("accept ! condition = yes", Action.DENY),
        ("accept endpass\n condition = no\naccept", Action.DENY),
        ("accept condition = no\n endpass\naccept", Action.ACCEPT),
        ("accept condition = yes\n endpass\n condition = no\naccept", Action.DENY),
        ("discard endpass\n condition = no\naccept", Action.DENY),
        ("deny condition = yes\n condition = no\naccept", Action.ACCEPT),
        (f"accept condition = {YES}", Action.ACCEPT),
        (f"accept condition = {NO}", Action.DENY),
        ("accept condition = 0", Action.DENY),
        ("accept condition = 007", Action.ACCEPT),
        ("accept condition =", Action.DENY),
        ("accept condition = TRUE", Action.ACCEPT),
        # What is neither yes nor no, or cannot be had, is for later: never taken for yes.
        ("accept condition = maybe", Action.DEFER),
        ("deny condition = maybe\naccept", Action.DEFER),
        ("deny !condition = maybe\naccept", Action.DEFER),
        (f"deny condition = {BROKEN}\naccept", Action.DEFER),
        (f"accept condition = {BROKEN}", Action.DEFER),
        (f"require condition = {BROKEN}\naccept", Action.DEFER),
        # What is forced to fail leaves its condition out.
        ("accept condition = ${if eq{a}{b}{yes}fail}", Action.ACCEPT),
    ],
)
def test_an_acl_comes_to(acl: Maker, text: str, action: Action) -> None:
    assert acl(text).run().action is action


@pytest.mark.parametrize(
    ("text", "message", "log"),
    [
        ("deny message = no", "no", "no"),
        ("deny message = no\n log_message = quiet", "no", "quiet"),
        ("deny log_message = quiet", "", "quiet"),
        ("deny", "", ""),
        ("deny message = first\n message = second", "second", "second"),
        ("deny condition = yes\n message = after", "after", "after"),
        ("deny message = before\n condition = no\ndeny", "", ""),
        ("deny message = $local_part at $domain", "user at local.example", None),
        ("deny message = ${if eq{a}{b}{x}fail}", "", ""),
        ("accept message = fine", "fine", "fine"),
        ("accept endpass\n message = late\n condition = no", "late", "late"),
        ("accept endpass\n condition = no\n message = never reached", "", ""),
        ("require message = must\n condition = no", "must", "must"),
        ("require condition = no\n message = never reached", "", ""),
        ("defer message = 451 4.3.0 wait", "451 4.3.0 wait", None),
        ("warn message = X-Warn: w\ndeny", "", ""),
    ],
)
def test_the_messages_of_a_decision(
    acl: Maker, text: str, message: str, log: str | None
) -> None:
    verdict = acl(text).run()
    assert verdict.message == message
    assert verdict.log == (message if log is None else log)


def test_unset_acls_accept_all_but_recipients(acl: Maker) -> None:
    bench = acl("accept")
    assert bench.run(Phase.DATA).action is Action.ACCEPT
    del bench.acls.entries[Phase.RCPT]
    assert bench.run(Phase.RCPT) == Verdict(Action.DENY)


def test_warn_logs_once_for_each_message(acl: Maker) -> None:
    bench = acl("warn log_message = seen $domain\naccept")
    bench.run()
    bench.run()
    assert bench.logged() == ["H=[192.0.2.7] Warning: seen local.example"]


def test_a_warn_that_cannot_be_told_is_skipped_and_logged(acl: Maker) -> None:
    bench = acl("warn verify = sender\n log_message = x\naccept")
    assert bench.run().action is Action.ACCEPT
    assert bench.logged() == [
        'H=[192.0.2.7] Warning: ACL "warn" statement skipped: condition test deferred: '
        "addresses cannot be verified here"
    ]


def test_a_warn_that_cannot_be_expanded_is_no_warning(acl: Maker) -> None:
    bench = acl("warn condition = ${if eq{a}{b}{}{${substr{x}{y}{z}}}}\naccept")
    assert bench.run().action is Action.DEFER


def test_variables_are_set_where_they_stand(acl: Maker) -> None:
    bench = acl(
        "warn set acl_m_a = 1\n condition = no\n set acl_m_b = 2\n"
        "warn set acl_c0 = $local_part\naccept"
    )
    bench.run()
    assert bench.situation.ctx.message.acl_m == {"_a": "1"}
    assert bench.situation.ctx.connection.acl_c == {"0": "user"}


def test_headers_are_collected_once(acl: Maker) -> None:
    bench = acl("warn add_header = X-A: 1\n add_header = :at_start:X-B: 2\naccept")
    bench.run()
    bench.run()
    added = [(each.place, each.header.text) for each in bench.situation.message.add_headers]
    assert added == [("end", b"X-A: 1\n"), ("start", b"X-B: 2\n")]


def test_a_line_break_of_a_stranger_begins_no_header(acl: Maker) -> None:
    bench = acl("warn add_header = X-A: $sender_helo_name\naccept")
    bench.situation.ctx.connection.helo_name = "x\nX-Evil: 1\n\nbody"
    bench.run()
    (added,) = bench.situation.message.add_headers
    assert added.header.text == b"X-A: x\n\tX-Evil: 1\n\t\n\tbody\n"


def test_the_administrator_may_add_several_headers_at_once(acl: Maker) -> None:
    bench = acl(r"warn add_header = X-A: 1\nX-B: $local_part" "\naccept")
    bench.run()
    added = [each.header.text for each in bench.situation.message.add_headers]
    assert added == [b"X-A: 1\n", b"X-B: user\n"]


def test_nested_acls_get_arguments_and_give_their_words(acl: Maker) -> None:
    bench = acl(
        'deny acl = sub $local_part "two words" ${sender_address}\naccept\n'
        "sub:\n accept message = $acl_narg <$acl_arg1> <$acl_arg2> <$acl_arg3> <$acl_arg4>\n"
    )
    assert bench.run().message == "3 <user> <two words> <s@remote.example> <>"
    bench = acl(
        "accept acl = sub $local_part\nsub:\n deny message = $acl_arg1 is not wanted\n"
    )
    assert bench.run() == Verdict(Action.DENY)
    bench = acl(
        "require acl = sub $local_part\nsub:\n deny message = $acl_arg1 is not wanted\n"
    )
    verdict = bench.run()
    assert (verdict.action, verdict.message) == (Action.DENY, "user is not wanted")
    assert "acl_arg1" not in bench.situation.ctx.values


def test_a_nested_drop_drops_and_a_nested_discard_discards(acl: Maker) -> None:
    assert acl("require acl = sub\nsub:\n drop").run().action is Action.DROP
    assert acl("accept acl = sub\nsub:\n discard").run().action is Action.DISCARD
    assert acl("deny acl = sub\nsub:\n discard").run().action is Action.DEFER
    assert acl("accept acl = sub\nsub:\n defer").run().action is Action.DEFER


def test_acls_that_call_each_other_for_ever_are_stopped(acl: Maker) -> None:
    verdict = acl("accept acl = rcpt").run()
    assert verdict == Verdict(Action.DEFER, log="ACL nested too deep: possible loop")


def test_no_stranger_names_an_acl(acl: Maker) -> None:
    bench = acl("accept acl = $local_part\nother:\n accept").recipient("other@x.example")
    verdict = bench.run()
    assert verdict.action is Action.DEFER
    assert verdict.log.startswith("Tainted 'other' (ACL name or text) not permitted")


def test_nothing_of_a_stranger_is_expanded(acl: Maker) -> None:
    bench = acl(
        "warn set acl_m_x = $local_part\n"
        "deny message = refused $acl_m_x\n log_message = l $acl_m_x"
    ).recipient("${run{/bin/x}}@local.example")
    verdict = bench.run()
    assert verdict.message == "refused ${run{/bin/x}}"
    assert verdict.log == "l ${run{/bin/x}}"


GOOD = Verification(Result.GOOD)
BAD = Verification(Result.BAD, "Unrouteable address", "", "5.1.1")
UNKNOWN = Verification(Result.UNKNOWN, "", "table away")


def test_recipients_are_verified(acl: Maker) -> None:
    text = "require verify = recipient\naccept"
    assert acl(text, verify={"recipient User@local.example": GOOD}).run() == Verdict(
        Action.ACCEPT
    )
    assert acl(text, verify={"recipient User@local.example": BAD}).run() == Verdict(
        Action.DENY, "Unrouteable address", "Unrouteable address", "5.1.1"
    )
    verdict = acl(text, verify={"recipient User@local.example": UNKNOWN}).run()
    assert (verdict.action, verdict.log) == (Action.DEFER, "table away")


def test_an_address_that_cannot_be_verified_may_pass(acl: Maker) -> None:
    text = "accept verify = recipient/defer_ok"
    bench = acl(text, verify={"recipient User@local.example": UNKNOWN})
    assert bench.run().action is Action.ACCEPT


def test_senders_are_verified_once_for_each_message(acl: Maker) -> None:
    answers = {"sender s@remote.example": BAD}
    bench = acl("deny !verify = sender\naccept", verify=answers)
    first = bench.run()
    answers["sender s@remote.example"] = GOOD
    assert first.message == (
        "Verification failed for <s@remote.example>\nUnrouteable address\nSender verify failed"
    )
    assert first.log == "Sender verify failed"
    assert bench.run() == first


def test_the_null_sender_is_always_good(acl: Maker) -> None:
    bench = acl("require verify = sender\naccept", verify={})
    bench.situation.ctx.message.sender = ""
    assert bench.run().action is Action.ACCEPT


def test_delays_are_waited_for(acl: Maker) -> None:
    bench = acl("accept delay = 1m30s")
    bench.run()
    assert bench.waited == [90.0]


@pytest.mark.parametrize(
    ("text", "action"),
    [
        ("accept domains = +local", Action.ACCEPT),
        ("accept domains = other.example", Action.DENY),
        ("accept local_parts = user", Action.ACCEPT),
        ("accept local_parts = USER", Action.ACCEPT),
        ("accept hosts = 192.0.2.0/24", Action.ACCEPT),
        ("accept hosts = :", Action.DENY),
        ("accept senders = *@remote.example", Action.ACCEPT),
        ("accept senders = :", Action.DENY),
        ("accept sender_domains = remote.example", Action.ACCEPT),
        ("accept recipients = user@local.example", Action.ACCEPT),
        ("accept authenticated = *", Action.DENY),
        ("accept encrypted = *", Action.DENY),
    ],
)
def test_conditions_that_look_in_lists(acl: Maker, text: str, action: Action) -> None:
    bench = acl(text, main="domainlist local = local.example")
    assert bench.run().action is action


def test_matched_data_is_trusted_and_kept(acl: Maker) -> None:
    bench = acl("accept domains = local.example\n local_parts = user")
    bench.run()
    place = bench.situation.ctx.place
    assert (place.domain_data, place.local_part_data) == ("local.example", "user")


def test_controls_take_effect(acl: Maker) -> None:
    bench = acl(
        "warn control = freeze\n control = queue_only\n control = suppress_local_fixups\n"
        " control = no_enforce_sync\naccept"
    )
    bench.run()
    effects = bench.situation.message
    assert (effects.freeze, effects.queue_only, effects.local_fixups) == (True, True, False)
    assert effects.freeze_tell
    assert not bench.situation.connection.enforce_sync


def test_a_message_may_be_frozen_without_a_word(acl: Maker) -> None:
    bench = acl("warn control = freeze/no_tell\naccept")
    bench.run()
    effects = bench.situation.message
    assert (effects.freeze, effects.freeze_tell) == (True, False)
