"""The authenticators of a configuration: what is refused, and no error shows a password."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.auth import engine, later
from mta.auth.api import Authenticator, decode, split
from mta.base.errors import ConfigError
from mta.cli.inspection import shown
from mta.config.load import load
from mta.config.model import Configuration
from mta.config.show import SECRET
from mta.proc.checker import compile_all

WORD = "Xyz-Secret"


def loaded(directory: Path, text: str, *, more: str = "") -> Configuration:
    file = directory / "mta.conf"
    file.write_text(
        f"primary_hostname = mx.example\nspool_directory = {directory}\n{more}"
        f"begin authenticators\n{text}"
    )
    return load(str(file))


def authenticators(directory: Path, text: str) -> tuple[Authenticator, ...]:
    return engine.load_authenticators(loaded(directory, text))


@pytest.mark.parametrize("driver", [*later.DRIVERS, *later.NEVER])
def test_what_exim_has_and_we_do_not_is_refused_by_name(driver: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf'authenticator a: driver "{driver}" is not supp'):
        authenticators(tmp_path, f"a:\n  driver = {driver}\n")


def test_a_driver_that_there_is_not_is_answered_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        authenticators(tmp_path, "a:\n  driver = plain_text\n")
    assert 'cannot find authenticator driver "plain_text"' in str(caught.value)
    assert "plaintext" in caught.value.suggestion


@pytest.mark.parametrize("name", ["a b", "é", "x" * 65, 'a"', "PLAIN,LOGIN"])
def test_a_mechanism_has_a_name_that_fits_into_the_reply_to_ehlo(
    name: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="cannot be a mechanism's name"):
        authenticators(tmp_path, f"a:\n  driver = plaintext\n  public_name = {name}\n")


def test_an_authenticator_is_named_like_its_mechanism_by_default(tmp_path: Path) -> None:
    [made] = authenticators(tmp_path, "PLAIN:\n  driver = plaintext\n")
    assert (made.mechanism, made.is_server, made.is_client) == ("PLAIN", False, False)


def test_two_servers_of_one_mechanism_are_refused(tmp_path: Path) -> None:
    one = "  driver = plaintext\n  public_name = PLAIN\n  server_condition = yes\n"
    with pytest.raises(ConfigError, match="two server authenticators \\(a and b\\) have the"):
        authenticators(tmp_path, f"a:\n{one}b:\n{one.replace('PLAIN', 'plain')}")


@pytest.mark.parametrize(
    "option",
    [
        f"driver = plaintext\n  client_send = ^user^{WORD}${{nosuch{{x}}}}",
        f"driver = plaintext\n  client_send = ^user^{WORD}$$",
        f"driver = plaintext\n  server_condition = ${{if eq{{$auth2}}{{{WORD}}}",
        f"driver = cram_md5\n  server_secret = {WORD}${{x",
        f"driver = cram_md5\n  client_secret = {WORD}$",
    ],
)
def test_what_is_wrong_with_it_is_said_without_the_text(option: str, tmp_path: Path) -> None:
    more = (
        "begin transports\nt:\n  driver = smtp\n  hosts_try_auth = *\n"
        "  hosts_require_auth = *\n"
    )
    conf = loaded(tmp_path, f"a:\n  {option}\n", more=more)
    complaints = compile_all(conf)
    assert len(complaints) == 1
    assert " of a authenticator" in complaints[0]
    assert WORD not in complaints[0]


def test_passwords_are_shown_to_administrators_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = loaded(
        tmp_path,
        f"a:\n  driver = plaintext\n  public_name = PLAIN\n  client_send = ^user^{WORD}\n"
        f"  server_condition = ${{if eq{{$auth3}}{{{WORD}}}}}\n"
        f"b:\n  driver = cram_md5\n  client_secret = {WORD}\n  server_secret = {WORD}\n",
    )
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    lines = [*shown(conf, ["authenticators"]), *shown(conf, ["authenticator", "a"])]
    assert WORD not in "\n".join(lines)
    assert f"client_send = {SECRET}" in lines
    assert "public_name = PLAIN" in lines
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert f"client_send = ^user^{WORD}" in list(shown(conf, ["authenticators"]))


@pytest.mark.parametrize(
    ("octets", "strings"),
    [
        (b"", [""]),
        (b"a", ["a"]),
        (b"\0", [""]),
        (b"\0a\0b", ["", "a", "b"]),
        (b"a\0", ["a"]),
        (b"a\0\0", ["a", ""]),
        (b"\xff", ["\udcff"]),
    ],
)
def test_a_message_is_cut_at_its_nuls(octets: bytes, strings: list[str]) -> None:
    assert split(octets) == strings


@pytest.mark.parametrize(
    ("coded", "octets"),
    [
        (b"", b""),
        (b"YQ==", b"a"),
        (b"YWI=", b"ab"),
        (b"YWJj", b"abc"),
        (b"YWJjYQ==", b"abca"),
        (b"YR==", b"a"),
        *[(each, None) for each in (b"=", b"YQ", b"YQ=", b"YQ==\n", b" YQ==", b"YQ==YQ==")],
        *[(each, None) for each in (b"Y-_=", b"Y\0Q=", b"\xff\xff\xff\xff", b"YWJjY", b"*")],
    ],
)
def test_base_64_is_exactly_that(coded: bytes, octets: bytes | None) -> None:
    assert decode(coded) == octets
