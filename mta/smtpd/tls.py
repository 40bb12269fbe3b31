"""TLS in a conversation: after STARTTLS (RFC 3207) or from the first octet on (RFC 8314).

What was said before is forgotten when the handshake is done, for somebody else may have said
it: the name, the message under way, and what had come in the same packet.  A handshake that
fails ends the conversation: what the client would take for an answer nobody knows.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace

from mta.base.errors import ConfigError, ExpansionFail, TempFail, Where
from mta.base.registry import suggestion
from mta.base.text import trim, words
from mta.config.model import Configuration
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.lookup.api import Tables
from mta.match.host import match_host
from mta.net import interfaces
from mta.net.ciphers import choose
from mta.net.secrecy import Secrecy
from mta.net.tls_terms import OPTIONS, ByName, Facts, ServerSettings
from mta.smtp.reply import Reply, reply
from mta.smtpd import record
from mta.smtpd.state import Session, Stage

GO_AHEAD = reply(220, "2.0.0", "TLS go ahead")
UNAVAILABLE = reply(454, "4.7.0", "TLS currently unavailable")
NOTHING = Reply(220, "", "", b"", b"")  # what had to be said was said
MOST_SECONDS = 60.0  # for a handshake, whatever the time-out for commands is


def start(session: Session) -> Reply:
    """Answer STARTTLS and do what it asks for."""
    try:
        settings = settings_for(session.service.conf, session.ctx)
        session.service.secrecy.load().prepare(settings)
    except (TempFail, ExpansionFail) as error:
        record.not_secret(session.service.log, session.described(), f"({error})")
        return UNAVAILABLE
    session.send(GO_AHEAD)
    session.wire.flush()
    begin(session, settings)
    return NOTHING


def begin_at_once(session: Session) -> bool:
    """TLS before the banner, where the port is one for that; False if it failed."""
    if not is_on_connect(session.service.conf, session.ctx.connection.interface_port):
        return True
    try:
        settings = settings_for(session.service.conf, session.ctx)
        return begin(session, settings)
    except (TempFail, ExpansionFail) as error:
        record.not_secret(session.service.log, session.described(), f"({error})")
    session.closing = True
    return False


def begin(session: Session, settings: ServerSettings) -> bool:
    """The handshake; False if it failed, which ends the conversation."""
    wire, service = session.wire, session.service
    try:
        stream, facts = service.secrecy.load().serve(
            wire.stream,
            settings,
            min(wire.timeout, MOST_SECONDS),
            _by_name(session, settings),
        )
    except (OSError, TempFail) as error:
        why = "timed out" if isinstance(error, TimeoutError) else str(error)
        record.not_secret(service.log, session.described(), f"(SSL_accept): {why}")
        session.closing = True
        return False
    wire.replace(stream)
    _begin_anew(session, facts)
    return True


def _begin_anew(session: Session, facts: Facts) -> None:
    """Forget what was said in the clear.  RFC 3207 4.2"""
    connection = session.ctx.connection
    connection.tls, connection.tls_sni = facts, facts.server_name
    connection.authenticated_id = connection.authenticated_sender = ""
    connection.host_auth = connection.host_auth_pubname = ""
    session.login.by, session.login.advertised = None, ()
    session.begin_transaction()
    session.starttls = session.enhanced = False
    session.counts.free_used.clear()
    connection.helo_name = ""
    if not session.service.conf.tls.tls_remember_esmtp:
        session.esmtp = session.pipelining = False
        session.stage = Stage.GREETED
    connection.protocol = session.protocol()


def is_on_connect(conf: Configuration, port: int) -> bool:
    """True if TLS is spoken on this port from the first octet on."""
    ports = conf.tls.tls_on_connect_ports
    return bool(ports) and port in interfaces.read_ports(ports, None)


def settings_for(conf: Configuration, ctx: Context) -> ServerSettings:
    """What our side is made of for this client.  Raises ExpansionFail, TempFail."""
    tls = conf.tls
    require = tls.tls_verify_hosts is not None and _is_in(ctx, tls.tls_verify_hosts)
    ask = require or (
        tls.tls_try_verify_hosts is not None and _is_in(ctx, tls.tls_try_verify_hosts)
    )
    choice = choose(_text(ctx, tls.tls_require_ciphers))
    parameters = _text(ctx, tls.tls_dhparam)
    curve = _text(ctx, tls.tls_eccurve)
    return ServerSettings(
        ctx.connection.active_hostname or conf.naming.primary_hostname,
        certificate=_text(ctx, tls.tls_certificate),
        key=_text(ctx, tls.tls_privatekey),
        ciphers=choice.ciphers,
        authorities=_text(ctx, tls.tls_verify_certificates) if ask else "",
        ask=ask,
        require=require,
        revoked=_text(ctx, tls.tls_crl) if ask else "",
        parameters=parameters if parameters.startswith("/") else "",
        curve="" if curve == "auto" else curve,
        options=(*choice.options, *read_options(tls.openssl_options, None)),
        without=choice.without,
    )


def _is_in(ctx: Context, hosts: Template) -> bool:
    return match_host(ctx, hosts) is not None


def _text(ctx: Context, option: Template | None) -> str:
    """The expanded value; "" if it is unset or forced its own failure."""
    if option is None:
        return ""
    try:
        return trim(expand(ctx, option))
    except ExpansionFail as failure:
        if failure.forced:
            return ""
        raise


def _by_name(session: Session, usual: ServerSettings) -> ByName | None:
    """What to be for a client that asks for a host, if the certificate depends on that."""
    tls, ctx = session.service.conf.tls, session.ctx
    named = (tls.tls_certificate, tls.tls_privatekey)
    if not any(each is not None and "tls_in_sni" in each.text for each in named):
        return None

    def by_name(name: str) -> ServerSettings | None:
        ctx.connection.tls_sni = name
        try:
            certificate = _text(ctx, tls.tls_certificate)
            return replace(usual, certificate=certificate, key=_text(ctx, tls.tls_privatekey))
        except ExpansionFail as failure:
            raise TempFail(failure.text) from failure

    return by_name


# Once for a process.


def warm(conf: Configuration, secrecy: Secrecy, ctx: Context) -> None:
    """Load OpenSSL and make what most clients will need, before children are forked.

    What cannot be made is tried again for each client, and logged there.
    """
    maker = secrecy.load()
    with contextlib.suppress(TempFail, ExpansionFail):
        maker.prepare(settings_for(conf, ctx))


def check(conf: Configuration, files: dict[str, bytes]) -> list[str]:
    """What is wrong with TLS and would be found when it is used.  Raises ConfigError.

    `files` are those that were read for it as root.
    """
    tls = conf.tls
    interfaces.read_ports(tls.tls_on_connect_ports, tls.where.get("tls_on_connect_ports"))
    read_options(tls.openssl_options, tls.where.get("openssl_options"))
    ciphers = tls.tls_require_ciphers
    if ciphers is not None and "$" not in ciphers.text:
        try:
            choose(ciphers.text)
        except TempFail as error:
            raise ConfigError(ciphers.where, error.text) from None
    certificate = tls.tls_certificate
    if certificate is None or "$" in certificate.text:
        return []
    if ":" in certificate.text:
        raise ConfigError(certificate.where, "only one tls_certificate is supported yet")
    try:
        settings = settings_for(conf, Context(conf, Tables()))
        Secrecy(files).load().prepare(settings)
    except (TempFail, ExpansionFail) as error:
        return [f"{certificate.where}: TLS will not work: {error}"]
    return []


def read_options(text: str, where: Where | None) -> tuple[str, ...]:
    """The switches in openssl_options that are to be on.  Raises ConfigError."""
    chosen: dict[str, None] = {}
    for word in words(text):
        sign, name = word[0], word[1:]
        if sign not in "+-" or name not in OPTIONS:
            near = suggestion(name, list(OPTIONS))
            raise ConfigError(where, f'openssl_options: "{word}" is not known', near)
        if sign == "+":
            chosen[name] = None
        else:
            chosen.pop(name, None)
    return tuple(chosen)
