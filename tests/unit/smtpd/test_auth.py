"""AUTH without a socket: what the client is believed, what is forgotten, what nobody sees."""

from __future__ import annotations

import hashlib
import hmac
import random
import re
from base64 import b64decode, b64encode
from collections.abc import Callable

import pytest

from mta.expand.context import Connection
from mta.smtpd import session
from mta.smtpd.state import Session
from tests.unit.receive.conftest import ALICE, Post, post
from tests.unit.smtp.test_wire import Script
from tests.unit.smtpd.test_session import hold

Maker = Callable[..., Post]
__all__ = ["post"]

WORD = "Xyz-Secret"
HELO = b"EHLO c.example\r\n"
MAIL = b"MAIL FROM:<a@b.example>\r\n"


def coded(text: str) -> bytes:
    return b64encode(text.encode("utf-8", "surrogateescape"))


def plain(user: str, word: str = WORD) -> bytes:
    return b"AUTH PLAIN %b\r\n" % coded(f"\0{user}\0{word}")


def asking(condition: str, more: str = "", *, main: str = "", acl: str = "") -> str:
    return (
        f"acl_smtp_rcpt = accept\nacl_smtp_mail = mail\nauth_failure_delay = 0s\n{main}"
        f"begin acl\nmail:\n  accept logwrite = <$authenticated_id> <$auth1$auth2$auth3$1$2$3>"
        " <$sender_host_authenticated> <$authenticated_fail_id> <$authentication_failed>\n"
        f"{acl}"
        "begin authenticators\np:\n  driver = plaintext\n  public_name = PLAIN\n"
        f"  server_prompts = :\n  server_condition = {condition}\n"
        f"  server_set_id = $auth2\n{more}"
    )


def made_of(mail: Post, *packets: bytes, local: bool = False) -> tuple[Session, Script]:
    stream = Script(*packets)
    connection = Connection(host_address="" if local else "192.0.2.7")
    made = session._session(mail.service, stream, connection, ALICE if local else None)
    made.situation.connection.enforce_sync = False
    return made, stream


def logs(mail: Post) -> str:
    names = ("mainlog", "rejectlog", "paniclog")
    return "\n".join(
        (mail.directory / name).read_text("utf-8", "surrogateescape") for name in names
    )


def test_what_was_said_is_forgotten_when_it_is_over(post: Maker) -> None:
    mail = post(asking("yes"))
    hold(mail, HELO, plain("user"), MAIL)
    assert mail.logged()[0] == "<user> <> <p> <> <0>"


def test_a_failure_is_remembered_without_the_password(post: Maker) -> None:
    mail = post(asking("no"))
    hold(mail, HELO, plain("user"), MAIL)
    assert mail.logged()[1] == "<> <> <> <user> <1>"


@pytest.mark.parametrize(
    ("condition", "reply", "detail"),
    [
        ("${if eq{a}{b}{x}fail}", "535 5.7.8 Incorrect authentication data", ""),
        ("0", "535 5.7.8 Incorrect authentication data", ""),
        ("No", "535 5.7.8 Incorrect authentication data", ""),
        ("", None, ""),
        ("1", "235 2.7.0 Authentication succeeded", ""),
        ("TRUE", "235 2.7.0 Authentication succeeded", ""),
        ("2", "435 4.7.0 Unable to authenticate at present: 2", "2"),
        (
            "${lookup{x}lsearch{/no/such/file}}",
            "435 4.7.0 Unable to authenticate at present",
            "failed to open /no/such/file",
        ),
        ("${if >{$auth3}{1}}", "435 4.7.0 Unable to authenticate at present", "***"),
        ("$auth3", "435 4.7.0 Unable to authenticate at present: ***", "***"),
        ("${expand:$auth3}", "435 4.7.0 Unable to authenticate at present", "***"),
        ("${if match{a}{$3(}}", "435 4.7.0 Unable to authenticate at present", "***("),
        ("${lookup{x}lsearch{/tmp/$3}}", "435 4.7.0 Unable to authenticate at present", "***"),
        ("${if crypteq{$3}{{x}y}}", "435 4.7.0 Unable to authenticate at present", ""),
        (
            "${if crypteq{$3}{\\$6\\$rounds=999999999\\$a\\$b}}",
            "435 4.7.0 Unable to authenticate at present",
            "too long to check",
        ),
    ],
)
def test_the_condition_decides_and_its_errors_show_no_password(
    condition: str, reply: str | None, detail: str, post: Maker
) -> None:
    mail = post(asking(condition))
    replies = hold(mail, HELO, plain("user"))
    if reply is None:
        assert replies[-1] == "503 5.5.1 AUTH command used when not advertised"
        return
    assert replies[-1] == reply
    assert WORD not in logs(mail)
    assert coded(f"\0user\0{WORD}").decode() not in logs(mail)
    if reply[0] != "2":
        assert "(set_id=user)" in mail.logged()[0]
        assert detail in mail.logged()[0]


@pytest.mark.parametrize(
    ("said", "seen"),
    [
        ([b"AUTH PLAIN " + coded("a\0b\0c")], "a|b|c"),
        ([b"AUTH PLAIN " + coded("a")], "a||"),
        ([b"AUTH PLAIN " + coded("\0\0c")], "||c"),
        ([b"AUTH PLAIN " + coded("a\0")], "a||"),
        ([b"AUTH PLAIN ="], "||"),
        ([b"auth plain\t" + coded("a\0b\0c") + b"  "], "a|b|c"),
        ([b"AUTH PLAIN", b""], "||"),
        ([b"AUTH PLAIN", coded("a\0b\0c\0d\0e")], "a|b|c"),
        ([b"AUTH PLAIN", b" " + coded("\udcff\0é\0\n")], "\\377|é|\\n"),
        ([b"AUTH PLAIN " + coded("\0".join("x" * 4000))], "x|x|x"),
        ([b"AUTH TWO", coded("a"), coded("b")], "a|b|"),
        ([b"AUTH TWO " + coded("a"), coded("b")], "a|b|"),
        ([b"AUTH TWO " + coded("a\0b")], "a|b|"),
        ([b"AUTH TWO", coded("a\0b\0c")], "a|b|c"),
        ([b"AUTH NONE"], "||"),
    ],
)
def test_strings_come_in_their_order(said: list[bytes], seen: str, post: Maker) -> None:
    two = (
        "t:\n  driver = plaintext\n  public_name = TWO\n  server_prompts = one : two\n"
        "  server_condition = yes\n  server_set_id = $1|$2|$3\n"
        "n:\n  driver = plaintext\n  public_name = NONE\n  server_condition = yes\n"
        "  server_set_id = $auth1|$auth2|$auth3\n"
    )
    mail = post(
        asking("yes", two).replace("server_set_id = $auth2", "server_set_id = $1|$2|$3")
    )
    replies = hold(mail, HELO, *[line + b"\r\n" for line in said], MAIL)
    assert replies[-2] == "235 2.7.0 Authentication succeeded", replies
    # The byte that is no letter is written into the log as it is.
    assert mail.directory.joinpath("mainlog").read_bytes().decode(
        "utf-8", "surrogateescape"
    ).split("<")[1].partition(">")[0] == seen.replace("\\377", "\udcff")


@pytest.mark.parametrize(
    "data",
    [b"!", b"YWJj=", b"YWJ", b"YW=Jj", b"YWJj YWJj", b"YWJj\t=", b"\xff\xfe", b"====", b"==",
     b"YWJj-_", b"YWI=YWI=", b"Y\0Q="],
)  # fmt: skip
def test_what_is_no_base_64_is_refused_at_once(data: bytes, post: Maker) -> None:
    mail = post(asking("yes"))
    replies = hold(
        mail, HELO, b"AUTH PLAIN " + data + b"\r\n", b"AUTH PLAIN\r\n", data + b"\r\n"
    )
    assert [reply[:3] for reply in replies[2:]] == ["501", "334", "501"]
    assert "yes" not in logs(mail)


def test_a_client_that_leaves_in_an_exchange_is_let_go(post: Maker) -> None:
    mail = post(asking("yes"))
    hold(mail, HELO, b"AUTH PLAIN\r\n")
    assert mail.logged()[0].startswith("unexpected disconnection while reading SMTP command")


def test_a_process_that_is_to_end_does_not_wait_for_an_exchange(post: Maker) -> None:
    mail = post(asking("yes"))
    made, stream = made_of(mail, HELO, b"AUTH PLAIN\r\n", b"")
    ending = mail.service.ending
    read = stream.read

    def told(size: int) -> bytes:
        octets = read(size)
        if not octets:
            ending._told(15, None)
        return octets

    stream.read = told  # type: ignore[method-assign]  # it hears SIGTERM while it waits
    session._hold(made)
    assert b"".join(stream.written).endswith(
        b"421 4.3.2 mx.example: Service not available - closing connection\r\n"
    )


def test_guesses_are_answered_slowly(post: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    mail = post(asking("no").replace("auth_failure_delay = 0s\n", ""))
    waited: list[float] = []
    monkeypatch.setattr(Session, "pause", lambda self, seconds: waited.append(seconds))
    hold(mail, HELO, plain("user"), b"AUTH PLAIN !\r\n", plain("user"))
    assert waited == [1.0, 1.0]


def test_a_client_is_dropped_after_as_many_guesses_as_are_allowed(post: Maker) -> None:
    mail = post(asking("no", main="auth_max_failures = 2\n"))
    replies = hold(mail, HELO, plain("user"), plain("user"), plain("user"))
    assert replies[2:] == [
        "535 5.7.8 Incorrect authentication data",
        "535 5.7.8 Too many failed authentications",
    ]


def test_the_count_does_not_begin_again_with_ehlo(post: Maker) -> None:
    mail = post(asking("no", main="auth_max_failures = 2\n"))
    replies = hold(mail, HELO, plain("user"), HELO, plain("user"), plain("user"))
    assert replies[-1] == "535 5.7.8 Too many failed authentications"


def test_without_a_limit_nonmail_commands_are_still_counted(post: Maker) -> None:
    mail = post(asking("no", main="auth_max_failures = 0\n"))
    replies = hold(mail, HELO, *[plain("user")] * 20)
    assert replies[-1] == "554 5.5.1 Too many nonmail commands"
    assert len(replies) == 2 + 11 + 1


def test_the_first_auth_is_not_counted_as_nonmail(post: Maker) -> None:
    mail = post(asking("yes", main="smtp_accept_max_nonmail = 0\n"))
    assert hold(mail, HELO, plain("user"))[-1] == "235 2.7.0 Authentication succeeded"


def test_variables_of_an_acl_for_auth_do_not_reach_a_message(post: Maker) -> None:
    mail = post(
        asking(
            "yes",
            main="acl_smtp_auth = auth\n",
            acl="auth:\n  accept set acl_m0 = left\n       set acl_c0 = stays\n",
        ).replace("<$authenticated_id>", "<$acl_m0$acl_c0>")
    )
    hold(mail, HELO, plain("user"), MAIL)
    assert mail.logged()[0].startswith("<stays>")


def test_a_set_id_that_cannot_be_expanded_is_left_out(post: Maker) -> None:
    mail = post(asking("yes").replace("server_set_id = $auth2", "server_set_id = ${no{such}}"))
    hold(mail, HELO, plain("user"), MAIL)
    assert mail.logged()[0] == "<> <> <p> <> <0>"


def test_whoever_speaks_through_sendmail_may_authenticate_too(post: Maker) -> None:
    mail = post(asking("yes"))
    made, _ = made_of(mail, HELO, plain("user"), MAIL, local=True)
    session._hold(made)
    assert made.ctx.connection.protocol == "local-esmtpa"


def test_a_condition_for_the_offer_that_fails_is_told_to_the_panic_log(post: Maker) -> None:
    mail = post(asking("yes", "  server_advertise_condition = ${no{such}}\n"))
    replies = hold(mail, HELO, plain("user"))
    assert replies[-1] == "503 5.5.1 AUTH command used when not advertised"
    assert (
        "server_advertise_condition of p authenticator"
        in (mail.directory / "paniclog").read_text()
    )


def test_auth_that_was_not_offered_can_be_allowed(post: Maker) -> None:
    mail = post(
        asking(
            "yes",
            main="auth_advertise_hosts =\nacl_smtp_helo = helo\n",
            acl="helo:\n  accept control = allow_auth_unadvertised\n",
        )
    )
    assert hold(mail, HELO, plain("user"))[-1] == "235 2.7.0 Authentication succeeded"


@pytest.mark.parametrize(
    ("names", "answer"),
    [
        ("*", "250"),
        ("P", "250"),
        ("q : p", "250"),
        ("! p", "550"),
        ("q", "550"),
        ("^[pq]", "250"),
    ],
)
def test_the_acl_condition_names_authenticators(names: str, answer: str, post: Maker) -> None:
    text = asking("yes").replace(
        "acl_smtp_rcpt = accept", f"acl_smtp_rcpt = accept authenticated = {names}"
    )
    rcpt = b"RCPT TO:<a@b.example>\r\n"
    mail = post(text)
    assert hold(mail, HELO, plain("user"), MAIL, rcpt)[-1][:3] == answer
    assert hold(mail, HELO, MAIL, rcpt)[-1][:3] == "550"


CRAM = (
    "acl_smtp_rcpt = accept\nauth_failure_delay = 0s\nbegin authenticators\nc:\n"
    "  driver = cram_md5\n  public_name = CRAM-MD5\n"
    "  server_secret = ${if eq{$auth1}{user}{Xyz-Secret}fail}\n  server_set_id = $auth1\n"
)


class Cram(Script):
    """A client that answers a challenge."""

    def __init__(self, user: bytes, word: bytes) -> None:
        super().__init__(HELO, b"AUTH CRAM-MD5\r\n")
        self.user, self.word = user, word

    def write(self, octets: bytes) -> None:
        super().write(octets)
        if found := re.search(rb"334 (\S+)\r\n", octets):
            digest = hmac.new(self.word, b64decode(found[1]), hashlib.md5).hexdigest()
            self.pieces.append(b64encode(b"%b %b" % (self.user, digest.encode())) + b"\r\n")


@pytest.mark.parametrize(
    ("user", "word", "code"),
    [(b"user", b"Xyz-Secret", b"235"), (b"user", b"other", b"535"), (b"nobody", b"", b"535")],
)
def test_cram_md5_is_a_proof(user: bytes, word: bytes, code: bytes, post: Maker) -> None:
    mail = post(CRAM)
    stream = Cram(user, word)
    connection = Connection(host_address="192.0.2.7")
    made = session._session(mail.service, stream, connection, None)
    made.situation.connection.enforce_sync = False
    session._hold(made)
    assert stream.written[-1][:3] == code
    assert WORD not in logs(mail)


def test_cram_md5_knows_no_empty_password(post: Maker) -> None:
    mail = post(CRAM.replace("}fail}", "}}"))
    stream = Cram(b"nobody", b"")
    made = session._session(mail.service, stream, Connection(host_address="192.0.2.7"), None)
    made.situation.connection.enforce_sync = False
    session._hold(made)
    assert stream.written[-1][:3] == b"535"


@pytest.mark.parametrize("said", [b"user", b"user x", b"user " + b"0" * 32, b"", b" " * 40])
def test_cram_md5_takes_nothing_for_a_proof(said: bytes, post: Maker) -> None:
    replies = hold(post(CRAM), HELO, b"AUTH CRAM-MD5\r\n", b64encode(said) + b"\r\n")
    assert replies[-1] == "535 5.7.8 Incorrect authentication data"


def test_cram_md5_takes_no_data_with_auth(post: Maker) -> None:
    replies = hold(post(CRAM), HELO, b"AUTH CRAM-MD5 %b\r\n" % coded("user x"))
    assert replies[-1] == "553 5.7.0 Initial data not expected"


PIECES = (
    *(b"AUTH PLAIN\r\n", b"AUTH LOGIN\r\n", b"AUTH PLAIN =\r\n", b"AUTH\r\n", b"AUTH \0\r\n"),
    *(b"*\r\n", b"\r\n", b"=\r\n", b"334\r\n", b"\n", b"\r", b"RSET\r\n", b"EHLO x\r\n"),
    *(b"MAIL FROM:<a@b.example> AUTH=x\r\n", b"RCPT TO:<a@b.example>\r\n", b"NOOP\r\n"),
    coded(f"\0user\0{WORD}") + b"\r\n",
    coded(WORD) + b"\r\n",
    plain("user"),
    b"AUTH " + b"x" * 5000 + b"\r\n",
    coded("\0" * 9000) + b"\r\n",
)


@pytest.mark.parametrize("seed", range(60))
def test_whatever_comes_in_whatever_order_no_password_is_shown(seed: int, post: Maker) -> None:
    chance = random.Random(seed)
    packets = [
        chance.choice(PIECES) if chance.random() < 0.9 else chance.randbytes(40) + b"\r\n"
        for _ in range(60)
    ]
    login = (
        "l:\n  driver = plaintext\n  public_name = LOGIN\n  server_prompts = User : Pass\n"
        "  server_condition = ${if eq{$1}{x}}\n  server_set_id = $1\n"
    )
    limits = (
        "smtp_max_synprot_errors = 1000\nsmtp_max_unknown_commands = 1000\n"
        "smtp_accept_max_nonmail = 1000\nauth_max_failures = 0\n"
    )
    mail = post(asking("${if eq{$auth2}{nobody}}", login, main=limits))
    replies = hold(mail, HELO, *packets)
    assert not any(reply.startswith("235") for reply in replies)
    seen = logs(mail)
    for secret in (WORD, coded(WORD).decode(), coded(f"\0user\0{WORD}").decode()):
        # LOGIN takes the first answer for the name, which the log does show.
        assert secret not in re.sub(r"\(set_id=[^)]*\)", "", seen)
