"""What is wrong in ACLs is found when the configuration is read, and said with its place."""

from __future__ import annotations

import pytest

from mta.acl.phase import Phase
from mta.acl.program import Action
from mta.base.errors import ConfigError
from tests.unit.acl.conftest import Maker


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("permit", 'unknown ACL verb "permit" in "permit"'),
        ("acept", "did you mean 'accept'?"),
        (
            "accept hots = *",
            "unknown ACL condition/modifier in \"hots = *\" (did you mean 'hosts'?",
        ),
        ("accept hosts", '"=" missing after ACL "hosts" condition'),
        ("accept !message = x", 'negation is not allowed with "message"'),
        ("deny endpass", '"endpass" is not allowed with this verb'),
        ("accept endpass = x", '"endpass" takes no value'),
        ("accept set foo = x", 'invalid variable name "foo" after "set" in ACL'),
        ("accept set acl_mx = x", 'invalid variable name "acl_mx"'),
        ("accept dnslists = bl.example", '"dnslists" is not supported yet'),
        ("accept control = fakereject", '"control = fakereject" is not supported yet'),
        ("accept control = freze", "unknown control (did you mean 'freeze'?"),
        ("accept verify = recipient/callout", '"callout" in verify is not supported yet'),
        (
            "accept verify = recipent",
            "unknown \"verify = recipent\" (did you mean 'recipient'?",
        ),
        ("accept verify = csa", '"verify = csa" is not supported yet'),
        ("accept delay = soon", '"soon" is not a time'),
        ("accept log_reject_target = nowhere", 'unknown log "nowhere"'),
        ("accept acl = nothere", 'there is no ACL "nothere"'),
        ("accept = x", "malformed ACL line"),
    ],
)
def test_an_error_says_what_and_where(acl: Maker, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        acl(text)
    assert reason in str(caught.value)
    assert "mta.conf:7: " in str(caught.value)


def test_a_condition_at_the_wrong_place_is_refused(acl: Maker) -> None:
    main = "acl_smtp_data = other\n"
    with pytest.raises(ConfigError, match="cannot test domains in acl_smtp_data ACL"):
        acl("accept\nother:\n accept domains = x", main=main)


def test_also_where_another_acl_calls_it(acl: Maker) -> None:
    main = "acl_smtp_connect = outer\n"
    with pytest.raises(ConfigError, match="cannot test senders in acl_smtp_connect ACL"):
        acl("accept\nouter:\n accept acl = inner\ninner:\n accept senders = x", main=main)


def test_an_acl_may_stand_in_its_option(acl: Maker) -> None:
    bench = acl("deny", main="acl_smtp_mail = accept message = 250 inline")
    assert bench.run(Phase.MAIL).message == "250 inline"


def test_an_option_may_choose_its_acl(acl: Maker) -> None:
    main = "acl_smtp_mail = ${if eq{$sender_address}{}{null}{other}}"
    bench = acl("deny\nnull:\n deny\nother:\n accept", main=main)
    assert bench.run(Phase.MAIL).action is Action.ACCEPT


def test_an_option_that_names_no_acl_is_refused(acl: Maker) -> None:
    with pytest.raises(ConfigError, match='acl_smtp_mail: there is no ACL "chek"'):
        acl("deny\ncheck:\n accept", main="acl_smtp_mail = chek")
