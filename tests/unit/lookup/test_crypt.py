"""Passwords of crypt(3)."""

from __future__ import annotations

import pytest

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
