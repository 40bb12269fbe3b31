"""Passwords of crypt(3)."""

from __future__ import annotations

import pytest

from mta.base.errors import ExpansionFail
from mta.lookup import crypt
from mta.lookup.crypt import LONGEST, is_password

# All of "secret", as Exim 4.98 agrees.
KEPT = {
    "descrypt": "abNANd1rDfiNc",
    "md5crypt": "$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1",
    "sha256crypt": "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.",
    "sha512crypt": "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CK"
    "PPrVACtLtip/cZ/1GM/O6IND4WQhG.",
    "yescrypt": "$y$j9T$abcdefghijkl$XFQnRmFDoRnfefa6tLCdzcaB9xoGhmmkRgfG1lm0pK1",
    "bcrypt": "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
}


@pytest.mark.parametrize("kept", KEPT.values(), ids=KEPT)
def test_a_password_is_known_in_every_form(kept: str) -> None:
    assert is_password("secret", kept)
    assert not is_password("Secret", kept)
    assert not is_password("", kept)
    assert not is_password("secret\0", kept)
    assert not is_password("secret", f"!{kept}")
    assert not is_password("secret", kept[:-1])


@pytest.mark.parametrize("kept", ["", "*", "!", "x", "a", "$9$abc$def", "*0", "*1", "\0", "é"])
def test_what_is_no_password_is_nobodys(kept: str) -> None:
    assert not is_password("secret", kept)
    assert not is_password("", kept)
    assert not is_password(kept, kept)


def test_an_endless_password_is_not_looked_at() -> None:
    assert not is_password("x" * (LONGEST + 1), KEPT["bcrypt"])


@pytest.mark.parametrize(
    "kept",
    [
        "$y$jDT$abcdefghijkl$XFQnRmFDoRnfefa6tLCdzcaB9xoGhmmkRgfG1lm0pK1",
        "$y$j9Tz$abcdefghijkl$XFQnRmFDoRnfefa6tLCdzcaB9xoGhmmkRgfG1lm0pK1",
        "$gy$jzz$abcdefghijkl$x",
        "$7$zU..../....abc$x",
        "$7$CU..../zzzzabc$x",
        "$2b$31$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        "$2y$15$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        "$6$rounds=999999999$abc$x",
        "$5$rounds=2000001$abc$x",
        "$5$rounds=99999999999999999999$abc$x",
        "$sha1$999999999$abc$x",
        "$md5,rounds=999999999$abc$$x",
        "_zzzzabcdXXXXXXXXXXX",
    ],
)
def test_what_would_take_too_long_is_not_checked(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crypt, "_crypt", lambda plain, setting: pytest.fail("it was"))
    with pytest.raises(ExpansionFail, match="too long to check") as caught:
        is_password("secret", kept)
    assert kept not in str(caught.value)


@pytest.mark.parametrize(
    "kept",
    [
        "$6$rounds=656000$abc$x",
        "$2b$14$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        "$y$jCT$abcdefghijkl$XFQnRmFDoRnfefa6tLCdzcaB9xoGhmmkRgfG1lm0pK1",
        "$y$j75$abcdefghijkl$XFQnRmFDoRnfefa6tLCdzcaB9xoGhmmkRgfG1lm0pK1",
        "$7$CU..../....AoqbzYN.aD7ZmFvEIRPh/.$x",
        "_J9..xljHabcdefghijk",
        "$md5$abc$$x",
    ],
)
def test_what_others_use_is_checked(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypt, "_crypt", lambda plain, setting: setting)
    assert is_password("secret", kept)


def test_a_password_that_was_made_is_known_and_no_two_are_alike() -> None:
    one, other = crypt.make("pass word é"), crypt.make("pass word é")
    assert one != other
    assert one.startswith(("$y$", "$6$"))
    assert is_password("pass word é", one)
    assert not is_password("pass word e", one)


@pytest.mark.parametrize("plain", ["", "a\0b", "x" * (LONGEST + 1)])
def test_what_cannot_be_a_password_is_not_made_one(plain: str) -> None:
    with pytest.raises(ValueError, match="a password has"):
        crypt.make(plain)
