"""The options of the smtp transport.

Raises:   ConfigError at load, for protocols and ciphers that there are not.
"""

from __future__ import annotations

from mta.base.errors import ConfigError
from mta.config import kinds
from mta.config.option import Option
from mta.transport import smtp_tls
from mta.transport.engine import Transport


class SmtpOptions(Transport):
    """All options of smtp."""

    hosts = Option(kinds.expanded, "", "Where to send what the router gave no hosts for.")
    hosts_override = Option(
        kinds.boolean, "false", "Let `hosts` count before those that the router has."
    )
    gethostbyname = Option(
        kinds.boolean, "false", "Look in the hosts file before the DNS for names in `hosts`."
    )
    dns_qualify_single = Option(
        kinds.boolean, "true", "Put the domain of resolv.conf behind a name of one part."
    )
    dns_search_parents = Option(
        kinds.boolean, "false", "Try the domains in the search list of resolv.conf, too."
    )
    dnssec_request_domains = Option(
        kinds.domain_list, "*", "Names whose signatures (DNSSEC) are asked for."
    )
    dnssec_require_domains = Option(
        kinds.domain_list, "", "Names that count only if their signatures were verified."
    )
    hosts_randomize = Option(kinds.boolean, "false", "Try these hosts in random order.")
    hosts_max_try = Option(kinds.integer, "5", "How many hosts are tried for a message.")
    hosts_max_try_hardlimit = Option(
        kinds.integer, "50", "How many hosts are tried, however the tries end."
    )
    delay_after_cutoff = Option(
        kinds.boolean, "true", "Do not try a host that has expired before its next time."
    )
    retry_include_ip_address = Option(
        kinds.boolean, "true", "Remember failures for each address of a host by itself."
    )
    address_retry_include_sender = Option(
        kinds.boolean, "true", "Remember refused recipients for each sender by himself."
    )
    allow_localhost = Option(
        kinds.boolean, "false", "Let an entry of `hosts` be this host itself."
    )
    protocol = Option(
        kinds.string, "smtp", "What is spoken: smtp, lmtp, or smtps: TLS before anything else."
    )
    lmtp_ignore_quota = Option(
        kinds.boolean, "false", "Ask an LMTP server that can do that to ignore quotas."
    )
    port = Option(kinds.expanded, "smtp", "The port, by number or name.")
    interface = Option(
        kinds.expanded, "", "The local addresses to send from, one for each kind."
    )
    helo_data = Option(kinds.expanded, "$primary_hostname", "What is said after EHLO.")
    keepalive = Option(kinds.boolean, "true", "Let the kernel test idle connections.")
    connect_timeout = Option(kinds.time, "5m", "How long making a connection may take.")
    command_timeout = Option(kinds.time, "5m", "How long an answer to a command may take.")
    data_timeout = Option(kinds.time, "5m", "How long sending a piece of a message may take.")
    final_timeout = Option(
        kinds.time, "10m", "How long the answer to a complete message may take."
    )
    connection_max_messages = Option(
        kinds.integer, "500", "The most messages in one connection; 0 for no limit."
    )
    max_rcpt = Option(
        kinds.integer, "100", "The most recipients in one transaction; 0 for no limit."
    )
    multi_domain = Option(
        kinds.boolean, "true", "Recipients of several domains may share a transaction."
    )
    hosts_try_auth = Option(
        kinds.host_list, "", "Servers that are told who we are, if they offer AUTH."
    )
    hosts_require_auth = Option(
        kinds.host_list, "", "Servers that get no message unless they know who we are."
    )
    authenticated_sender = Option(
        kinds.expanded,
        "",
        "AUTH= for servers that know us, instead of what came with a message.",
    )
    authenticated_sender_force = Option(
        kinds.boolean, "false", "Send AUTH= even to servers that do not know us."
    )
    hosts_require_tls = Option(
        kinds.host_list, "", "Servers that get no message in the clear."
    )
    hosts_avoid_tls = Option(kinds.host_list, "", "Servers with which TLS is not tried.")
    hosts_verify_avoid_tls = Option(
        kinds.host_list, "", "The same when an address is only verified."
    )
    tls_certificate = Option(
        kinds.expanded, "", "A file with the certificate that servers who ask are shown."
    )
    tls_privatekey = Option(
        kinds.expanded, "", "A file with its key; unset, the file of the certificate has it."
    )
    tls_require_ciphers = Option(
        kinds.expanded,
        "",
        "What may be agreed on: a cipher list of OpenSSL, or a usual priority of GnuTLS.",
    )
    tls_sni = Option(
        kinds.expanded, "", "The name that servers are told (SNI); unset means the host's."
    )
    tls_verify_certificates = Option(
        kinds.expanded,
        "system",
        "Who is trusted: a file, a directory, or `system` for those of this system.",
    )
    tls_crl = Option(kinds.expanded, "", "A file that lists certificates that were revoked.")
    tls_verify_hosts = Option(
        kinds.host_list, "", "Servers that must have a certificate that is trusted."
    )
    tls_try_verify_hosts = Option(
        kinds.host_list, "*", "Servers whose certificates are looked at, for the log."
    )
    tls_verify_cert_hostnames = Option(
        kinds.host_list, "*", "Servers whose certificates must be for their names."
    )
    tls_tempfail_tryclear = Option(
        kinds.boolean, "true", "Send in the clear when TLS with a server fails."
    )
    size_addition = Option(
        kinds.integer, "1024", "Added to the size that is told to the server; -1 tells none."
    )

    def check(self) -> None:
        """Refuse protocols and ciphers that there are not."""
        if self.protocol not in ("smtp", "lmtp", "smtps"):
            raise ConfigError(
                self.where.get("protocol"),
                f'transport {self.name}: protocol "{self.protocol}" is not supported yet',
                "use smtp, lmtp or smtps",
            )
        if wrong := smtp_tls.check_ciphers(self.tls_require_ciphers):
            raise ConfigError(self.where.get("tls_require_ciphers"), wrong)
