"""The shipped configurations compile as a whole and take mail where they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.acl import engine
from mta.acl.acls import load_acls
from mta.acl.phase import Phase
from mta.acl.program import Action
from mta.acl.situation import Situation, Submission
from mta.auth.api import Denied, holds, show
from mta.auth.engine import complaints, load_authenticators
from mta.base.trust import Trusted
from mta.config import load
from mta.config.model import Configuration
from mta.expand.compile import prepare
from mta.expand.context import Connection, Context, Message, Place
from mta.expand.run import expand
from mta.log.sink import open_log
from mta.lookup import crypt
from mta.lookup.api import Tables
from mta.net.interfaces import listen_addresses
from mta.route.api import Delivery, Undeliverable, address_of
from mta.route.engine import load_routers
from mta.transport.drivers.appendfile import Appendfile
from mta.transport.engine import load_transports

ETC = Path(__file__).resolve().parents[3] / "etc"

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
alice:x:1000:100:Alice,,,:/home/alice:/bin/bash
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
"""
ALIASES = "root: alice\nold: :fail: gone for good\nlater: :defer: not now\n"


@pytest.fixture
def production(tmp_path: Path) -> Configuration:
    """The production default on a host with these users, aliases and relays."""
    text = (ETC / "mta.conf").read_text()
    for name, contents in {
        "/etc/passwd": PASSWD,
        "/etc/aliases": ALIASES,
        "/etc/mta/relay_hosts": "inner.example: 192.0.2.9\n",
        "/etc/mta/passwd": f"alice: {crypt.make('opens')}\n",
    }.items():
        file = tmp_path / name.replace("/", "_")
        file.write_text(contents)
        text = text.replace(name, str(file))
    text = text.replace("relay_to_domains =", "relay_to_domains = inner.example")
    conf = tmp_path / "mta.conf"
    conf.write_text("primary_hostname = mail.example.org\n" + text)
    return load.load(str(conf))


@pytest.fixture
def demo() -> Configuration:
    """The demonstration with its spool in /s."""
    return load.load(
        str(ETC / "mta.demo.conf"), {"SPOOL": "/s", "INTERFACES": "<; [127.0.0.1]:2525"}
    )


def route(
    conf: Configuration, text: str, *, first: bool = True
) -> Delivery | Undeliverable | None:
    ctx = Context(conf, Tables(), message=Message(first_delivery=first))
    [routed] = load_routers(conf).route(ctx, address_of(text))
    return routed if isinstance(routed, Delivery | Undeliverable) else None


def reason(conf: Configuration, text: str, *, first: bool = True) -> tuple[str, str]:
    routed = route(conf, text, first=first)
    assert isinstance(routed, Undeliverable)
    return type(routed.verdict).__name__, routed.verdict.text


def directory(conf: Configuration, text: str, *, first: bool = True) -> str:
    """The Maildir that an address is delivered to; no stranger has a say in it."""
    routed = route(conf, text, first=first)
    assert isinstance(routed, Delivery)
    transport = load_transports(conf)[routed.transport]
    assert isinstance(transport, Appendfile)
    assert transport.directory is not None
    place = Place(routed.address.local_part, routed.address.domain, home=routed.address.home)
    path = expand(Context(conf, Tables(), place=place), transport.directory)
    assert type(path) is Trusted
    return path


def test_all_of_the_production_default_compiles(production: Configuration) -> None:
    assert prepare(production) == []
    assert load_acls(production) is not None
    assert [str(each) for each in listen_addresses(production)] == [
        *("0.0.0.0:25", "0.0.0.0:587"),
        *("[::]:25", "[::]:587"),
    ]


def test_the_authenticators_compile(production: Configuration, demo: Configuration) -> None:
    for conf in (production, demo):
        assert complaints(load_authenticators(conf)) == []


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_within_this_host_a_password_may_be_said(
    address: str, production: Configuration
) -> None:
    ctx = Context(production, Tables(), connection=Connection(host_address=address))
    for each in load_authenticators(production):
        assert holds(ctx, each.server_advertise_condition)


def test_elsewhere_it_may_not_without_encryption(production: Configuration) -> None:
    ctx = Context(production, Tables(), connection=Connection(host_address="192.0.2.1"))
    for each in load_authenticators(production):
        assert not holds(ctx, each.server_advertise_condition)


def test_without_a_file_of_users_nobody_is_asked() -> None:
    conf = load.load(str(ETC / "mta.conf"), {"PASSWORDS": "/no/such/file"})
    ctx = Context(conf, Tables(), connection=Connection(host_address="127.0.0.1"))
    assert not any(
        holds(ctx, each.server_advertise_condition) for each in load_authenticators(conf)
    )


@pytest.mark.parametrize(
    ("user", "word", "good"),
    [
        ("alice", "opens", True),
        ("alice", "Opens", False),
        ("alice", "", False),
        ("bob", "opens", False),
        ("bob", "", False),
        ("", "", False),
        ("*", "opens", False),
        ("alice:", "opens", False),
    ],
)
def test_the_production_default_lets_in_who_knows_the_password(
    user: str, word: str, good: bool, production: Configuration
) -> None:
    for each, strings in zip(
        load_authenticators(production), (["", user, word], [user, word]), strict=True
    ):
        ctx = Context(production, Tables())
        show(ctx, strings)
        if good:
            each.accept(ctx)
        else:
            with pytest.raises(Denied) as caught:
                each.accept(ctx)
            assert caught.value.code == 535


@pytest.mark.parametrize(
    ("port", "by", "action"),
    [
        (25, "", Action.ACCEPT),
        (587, "", Action.DENY),
        (587, "plain", Action.ACCEPT),
        (25, "login", Action.ACCEPT),
    ],
)
def test_port_587_is_for_who_has_said_who_he_is(
    port: int, by: str, action: Action, production: Configuration, tmp_path: Path
) -> None:
    connection = Connection(host_address="192.0.2.1", interface_port=port, host_auth=by)
    ctx = Context(production, Tables(), connection=connection)
    situation = Situation(ctx, open_log(str(tmp_path / "%slog")))
    verdict = engine.check(load_acls(production), situation, Phase.MAIL)
    assert verdict.action is action
    assert (verdict.message == "530 5.7.0 Authentication required") == (action is Action.DENY)


@pytest.mark.parametrize(("by", "action"), [("", Action.DENY), ("plain", Action.ACCEPT)])
def test_who_has_said_who_he_is_may_write_anywhere_in_his_own_name(
    by: str, action: Action, production: Configuration, tmp_path: Path
) -> None:
    connection = Connection(host_address="192.0.2.1", host_auth=by)
    place = Place(local_part="x", domain="elsewhere.example")
    ctx = Context(production, Tables(), connection=connection, place=place)
    situation = Situation(ctx, open_log(str(tmp_path / "%slog")))
    situation.recipient = "x@elsewhere.example"
    verdict = engine.check(load_acls(production), situation, Phase.RCPT)
    assert verdict.action is action
    assert situation.message.submission == (Submission() if by else None)


def test_all_of_the_demonstration_compiles(demo: Configuration) -> None:
    assert prepare(demo) == []
    assert load_acls(demo) is not None
    assert [str(each) for each in listen_addresses(demo)] == ["127.0.0.1:2525"]


def test_a_person_with_an_account_gets_mail_as_that_user(production: Configuration) -> None:
    routed = route(production, "alice@mail.example.org")
    assert isinstance(routed, Delivery)
    assert (routed.address.owner.user, routed.address.owner.group) == ("1000", "100")
    assert directory(production, "alice@mail.example.org") == "/home/alice/Maildir"


def test_an_alias_leads_to_a_person(production: Configuration) -> None:
    assert directory(production, "root@mail.example.org") == "/home/alice/Maildir"


@pytest.mark.parametrize("name", ["root", "postmaster", "abuse", "mailer-daemon"])
def test_mail_for_root_waits_until_somebody_is_named(
    production: Configuration, tmp_path: Path, name: str
) -> None:
    (tmp_path / "_etc_aliases").write_text((ETC / "aliases").read_text())
    kind, why = reason(production, f"{name}@mail.example.org")
    assert (kind, why) == (
        "Deferred",
        "nobody reads root's mail yet: name somebody in /etc/aliases",
    )


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("daemon@mail.example.org", ("Failed", "There is no such mailbox here")),
        ("nobody@mail.example.org", ("Failed", "There is no such mailbox here")),
        ("unknown@mail.example.org", ("Failed", "There is no such mailbox here")),
        ("old@mail.example.org", ("Failed", "gone for good")),
        ("later@mail.example.org", ("Deferred", "not now")),
        ("a@other.example", ("Failed", "Mail for other.example is not sent from here")),
    ],
)
def test_what_has_no_mailbox_is_returned(
    production: Configuration, address: str, why: tuple[str, str]
) -> None:
    assert reason(production, address) == why


def test_a_domain_that_is_relayed_goes_to_its_host(production: Configuration) -> None:
    routed = route(production, "a@inner.example")
    assert isinstance(routed, Delivery)
    assert (routed.transport, [host.name for host in routed.hosts]) == (
        "remote_smtp",
        ["192.0.2.9"],
    )


def test_the_demonstration_has_a_few_mailboxes_and_one_for_all_others(
    demo: Configuration,
) -> None:
    assert directory(demo, "alice@demo.localhost") == "/s/mail/alice"
    assert directory(demo, "../../etc@demo.localhost") == "/s/mail/everybody"


def test_the_demonstration_plays_with_addresses(demo: Configuration) -> None:
    assert reason(demo, "bounce@demo.localhost") == ("Failed", "I bounce")
    assert reason(demo, "slow@demo.localhost") == ("Deferred", "I am slow")
    # Programs are not asked by the ACL.
    assert reason(demo, "550@demo.localhost") == ("Failed", "There is nobody here")
    assert reason(demo, "450@demo.localhost") == ("Deferred", "This mailbox is busy")
    assert directory(demo, "123@demo.localhost") == "/s/mail/everybody"
    assert directory(demo, "slow@demo.localhost", first=False) == "/s/mail/slow"


@pytest.mark.parametrize("first", [True, False])
def test_the_demonstration_holds_mail_for_others(demo: Configuration, first: bool) -> None:
    assert reason(demo, "a@other.example", first=first) == ("Deferred", "held by the demo")
