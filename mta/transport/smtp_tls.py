"""Which servers we speak TLS with, and what has to be true of their certificates.

Without any option: TLS wherever it is offered, with anybody, as a secret told to a stranger is
better kept than one told to all; whether the certificate was good is noted for the log.  With
tls_tempfail_tryclear a server that fails to do what it offered gets the message in the clear,
and the log says so, unless it is one of hosts_require_tls.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from mta.base.errors import TempFail
from mta.base.text import trim
from mta.config.template import Template
from mta.expand.context import Context
from mta.match.host import match_host
from mta.net.ciphers import choose
from mta.net.tls_terms import ClientSettings, Facts, TlsError, is_for

# The numbers that Exim's retry records have for these.
TLS_REQUIRED = -38
TLS_FAILURE = -37

MISMATCH = "certificate name mismatch"


ANYBODY = ClientSettings()


@dataclass(frozen=True, slots=True)
class Terms:
    """What one server is to do."""

    use: bool = True
    required: bool = False
    at_once: bool = False  # TLS before anything is said
    settings: ClientSettings = ANYBODY
    name: str = ""  # what is asked for (SNI); "" for nothing
    must_verify: bool = False
    may_verify: bool = True
    checks_name: bool = True
    try_clear: bool = True


USUAL = Terms()
# What is most likely agreed on, for what has to be known before.
EXPECTED = Facts("TLS1.3", "TLS_AES_256_GCM_SHA384", 256)
CLEAR = Terms(use=False)
OPTIONS = frozenset(
    {
        "hosts_avoid_tls",
        "hosts_require_tls",
        "protocol",
        "tls_certificate",
        "tls_crl",
        "tls_privatekey",
        "tls_require_ciphers",
        "tls_sni",
        "tls_tempfail_tryclear",
        "tls_try_verify_hosts",
        "tls_verify_cert_hostnames",
        "tls_verify_certificates",
        "tls_verify_hosts",
    }
)


class Options(Protocol):
    """The options of the transport that say so."""

    @property
    def name(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def hosts_require_tls(self) -> Template | None: ...
    @property
    def hosts_avoid_tls(self) -> Template | None: ...
    @property
    def tls_certificate(self) -> Template | None: ...
    @property
    def tls_privatekey(self) -> Template | None: ...
    @property
    def tls_verify_certificates(self) -> Template | None: ...
    @property
    def tls_crl(self) -> Template | None: ...
    @property
    def tls_require_ciphers(self) -> Template | None: ...
    @property
    def tls_sni(self) -> Template | None: ...
    @property
    def tls_verify_hosts(self) -> Template | None: ...
    @property
    def tls_try_verify_hosts(self) -> Template | None: ...
    @property
    def tls_verify_cert_hostnames(self) -> Template | None: ...
    @property
    def tls_tempfail_tryclear(self) -> bool: ...
    def value(self, ctx: Context, option: Template | None, name: str) -> str | None: ...


def terms_for(options: Options, ctx: Context, name: str, address: str) -> Terms:
    """What this server is to do.  Raises TempFail."""
    there = replace(ctx.place, host=name, host_address=address)
    ctx = replace(ctx, place=there, values=dict(ctx.values))

    def is_in(hosts: Template | None) -> bool:
        return hosts is not None and match_host(ctx, hosts, address, name) is not None

    def text(option: Template | None, of: str) -> str:
        return trim(options.value(ctx, option, of) or "")

    at_once = options.protocol == "smtps"
    required = at_once or is_in(options.hosts_require_tls)
    if not required and is_in(options.hosts_avoid_tls):
        return CLEAR
    must = is_in(options.tls_verify_hosts)
    choice = choose(text(options.tls_require_ciphers, "tls_require_ciphers"))
    return Terms(
        required=required,
        at_once=at_once,
        settings=ClientSettings(
            text(options.tls_certificate, "tls_certificate"),
            text(options.tls_privatekey, "tls_privatekey"),
            choice.ciphers,
            text(options.tls_verify_certificates, "tls_verify_certificates"),
            require=must,
            revoked=text(options.tls_crl, "tls_crl"),
            options=choice.options,
            without=choice.without,
        ),
        name=text(options.tls_sni, "tls_sni"),
        must_verify=must,
        may_verify=must or is_in(options.tls_try_verify_hosts),
        checks_name=is_in(options.tls_verify_cert_hostnames),
        try_clear=options.tls_tempfail_tryclear,
    )


def check_ciphers(option: Template | None) -> str:
    """What is wrong with tls_require_ciphers, if that can be told; "" for nothing."""
    if option is None or "$" in option.text:
        return ""
    try:
        choose(option.text)
    except TempFail as error:
        return error.text
    return ""


def judged(facts: Facts, terms: Terms, host: str) -> Facts:
    """The facts as these terms see them.  Raises TlsError for a server that will not do."""
    if not terms.may_verify:
        return replace(facts, verified=False)
    if not terms.checks_name or not facts.verified or is_for(facts.names, host):
        return facts
    if terms.must_verify:
        raise TlsError(MISMATCH)
    return replace(facts, verified=False, trouble=MISMATCH)
