"""TLS as a server: whom it is offered to, certificate and key, who must show one."""

from __future__ import annotations

from mta.config import kinds
from mta.config.option import Configured, Option


class Tls(Configured):
    """TLS as a server: whom it is offered to, certificate and key, who must show one.

    Files that are named without "$" are opened by the master and may be root's alone; those
    with "$" are opened by the network user.  Without a certificate one is made that nobody
    vouches for.
    """

    tls_advertise_hosts = Option(kinds.host_list, "*", "Clients that are offered STARTTLS.")
    tls_on_connect_ports = Option(
        kinds.string, "", "Ports where TLS is spoken from the first octet on, such as 465."
    )
    tls_certificate = Option(
        kinds.expanded,
        "",
        "A file with the certificate, and after it those that lead to its root; with "
        "$tls_in_sni a client gets the one of the host that it asked for.",
    )
    tls_privatekey = Option(
        kinds.expanded, "", "A file with the key; unset, the file of the certificate has it."
    )
    tls_require_ciphers = Option(
        kinds.expanded,
        "",
        "What may be agreed on: a cipher list of OpenSSL, or a usual priority of GnuTLS.",
    )
    tls_verify_hosts = Option(
        kinds.host_list, "", "Clients that must show a certificate that is trusted."
    )
    tls_try_verify_hosts = Option(
        kinds.host_list, "", "Clients that are asked for a certificate and need not have one."
    )
    tls_verify_certificates = Option(
        kinds.expanded,
        "system",
        "Who is trusted: a file, a directory, or `system` for those of this system.",
    )
    tls_crl = Option(kinds.expanded, "", "A file that lists certificates that were revoked.")
    tls_dhparam = Option(
        kinds.expanded,
        "",
        "A file with parameters of Diffie-Hellman's exchange; unset or `none`, only elliptic "
        "curves are used.",
    )
    tls_eccurve = Option(
        kinds.expanded, "auto", "The elliptic curve; `auto` leaves that to OpenSSL."
    )
    tls_remember_esmtp = Option(
        kinds.boolean, "false", "After STARTTLS, believe the EHLO from before it."
    )
    openssl_options = Option(
        kinds.string, "", "Switches of OpenSSL: +name turns one on, -name off."
    )
