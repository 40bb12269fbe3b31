"""tls_require_ciphers in both languages."""

from __future__ import annotations

import pytest

from mta.base.errors import TempFail
from mta.net.ciphers import USUAL, choose
from mta.net.tls_contexts import Contexts
from mta.net.tls_terms import ServerSettings


def test_nothing_is_the_usual() -> None:
    assert choose("") == USUAL


def test_a_list_of_openssl_is_handed_on() -> None:
    assert choose("ECDHE_RSA_AES256_GCM_SHA384:!aNULL").ciphers == (
        "ECDHE-RSA-AES256-GCM-SHA384:!aNULL"
    )


@pytest.mark.parametrize(
    ("text", "without", "options"),
    [
        ("NORMAL", (), ()),
        ("NORMAL:-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1", (), ()),
        ("SECURE256:%SERVER_PRECEDENCE", (), ("cipher_server_preference",)),
        ("NORMAL:-VERS-ALL:+VERS-TLS1.3", ("TLS1.2",), ()),
        ("PFS:!VERS-TLS1.3", ("TLS1.3",), ()),
        ("@SYSTEM", (), ()),
        ("SECURE128:-RSA:-SHA1:%COMPAT", (), ()),
    ],
)
def test_priority_strings_are_translated_into_what_openssl_takes(
    text: str, without: tuple[str, ...], options: tuple[str, ...]
) -> None:
    choice = choose(text)
    assert (choice.without, choice.options) == (without, options)
    settings = ServerSettings("a.test", ciphers=choice.ciphers, without=choice.without)
    Contexts().prepare(settings)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("NORMAL:-CURVE-ALL", "-CURVE-ALL"),
        ("NONE:+VERS-TLS1.2", "NONE"),
        ("NORMAL:-VERS-TLS-ALL", "no version of TLS is left"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(TempFail, match=named):
        choose(text)
