"""TLS over any stream, for both roles.

    stream = TlsStream(stream, context, server=True)
    stream.handshake(30.0)

TLS works in memory here: what it has to say goes out over the stream below, whose deadlines
hold, so a socket, a pipe and a connection of ours to another host are all the same to it.

Raises:   TlsError, which is a ConnectionError, when the other side breaks the rules or ends in
the middle; TimeoutError and OSError as the stream below does.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

from cryptography import x509
from OpenSSL import SSL, crypto

from mta.base import clock
from mta.net import certificates
from mta.net.certificates import CertificateError
from mta.net.socket import family_of
from mta.net.tls_terms import UNREADABLE, Below, ByName, Facts, TlsError

RECORD = 16 << 10
MOST_ERROR = 200  # characters of OpenSSL's words


@dataclass(slots=True)
class Judgement:
    """What the check of one connection's certificates said, and who knows other names."""

    was_asked: bool = False
    trouble: str = ""
    by_name: ByName | None = None


class TlsStream:
    """A stream whose other side speaks TLS."""

    __slots__ = ("_below", "_connection", "_judgement", "_timeout")

    def __init__(
        self,
        below: Below,
        context: SSL.Context,
        *,
        server: bool,
        name: str = "",
        by_name: ByName | None = None,
    ) -> None:
        """`name` is the host that a client wants to talk to."""
        self._below = below
        self._connection = SSL.Connection(context, None)
        self._judgement = Judgement(by_name=by_name)
        self._connection.set_app_data(self._judgement)
        self._timeout = 0.0
        if server:
            self._connection.set_accept_state()
        else:
            self._connection.set_connect_state()
            if name and name.isascii() and not family_of(name):
                self._connection.set_tlsext_host_name(name.encode("ascii"))

    def handshake(self, seconds: float) -> Facts:
        """Agree on keys within this time; what was agreed on."""
        deadline = clock.monotonic() + seconds
        while True:
            try:
                self._connection.do_handshake()
            except SSL.WantReadError:
                left = deadline - clock.monotonic()
                if left <= 0:
                    raise TimeoutError("the handshake takes too long") from None
                self._below.set_timeout(left)
                self._feed()
            except SSL.Error as error:
                # The alert that says why goes out before the end.
                with contextlib.suppress(OSError):
                    self._flush()
                raise TlsError(words(error)) from None
            else:
                self.set_timeout(seconds)
                self._flush()
                return self._facts()

    def _facts(self) -> Facts:
        made, judgement = self._connection, self._judgement
        trouble, unreadable, peer = judgement.trouble, "", ""
        names: tuple[str, ...] = ()
        certificate = None
        try:
            certificate = peer_certificate(made)
            if certificate is not None:
                peer, names = (
                    certificates.subject(certificate),
                    certificates.names(certificate),
                )
        except CertificateError as error:
            unreadable = f"{UNREADABLE}: {error}"
        return Facts(
            made.get_protocol_version_name().replace("TLSv", "TLS"),
            made.get_cipher_name() or "",
            made.get_cipher_bits() or 0,
            (made.get_servername() or b"").decode("ascii", "replace"),
            peer,
            # A session that is taken up again shows a certificate that nobody looked at.
            certificate is not None and judgement.was_asked and not (trouble or unreadable),
            unreadable or trouble,
            names,
            certificate is not None or bool(unreadable),
        )

    def set_timeout(self, seconds: float) -> None:
        """From now on no wait takes longer than this."""
        self._timeout = seconds
        self._below.set_timeout(seconds)

    def read(self, size: int) -> bytes:
        """At most this many octets as soon as there are any; b"" when the other side ended.

        A record that comes octet by octet must have come as a whole in this time.
        """
        deadline = 0.0
        while True:
            try:
                return self._connection.recv(size)
            except SSL.WantReadError:
                now = clock.monotonic()
                deadline = deadline or now + self._timeout
                if now > deadline:
                    raise TimeoutError("a record takes too long") from None
                self._feed()
            except SSL.ZeroReturnError:
                return b""
            except SSL.Error as error:
                raise TlsError(words(error)) from None

    def write(self, octets: bytes) -> None:
        """Write everything."""
        rest = memoryview(octets)
        while rest:
            try:
                sent = self._connection.send(rest[:RECORD])
            except SSL.WantReadError:
                self._feed()
                continue
            except SSL.Error as error:
                raise TlsError(words(error)) from None
            rest = rest[sent:]
            self._flush()

    def readable(self) -> bool:
        """True if `read` would not wait: for a record that has come in part it would."""
        while True:
            try:
                self._connection.recv(1, socket.MSG_PEEK)
            except SSL.WantReadError:
                if not self._below.readable():
                    return False
                try:
                    self._feed()
                except TlsError:
                    return True
            except SSL.Error:
                return True
            else:
                return True

    def wait(self, seconds: float) -> None:
        """Wait this long, or until the other side has gone."""
        self._below.wait(seconds)

    def last_words(self, octets: bytes) -> None:
        """Send this if it can be sent at once, and close."""
        with contextlib.suppress(OSError):
            self._below.set_timeout(0.0)
            self.write(octets)
        self.close()

    def close(self) -> None:
        """Say that this is the end, if it can still be said, and close."""
        with contextlib.suppress(OSError, SSL.Error):
            self._connection.shutdown()
            self._flush()
        self._below.close()

    def _feed(self) -> None:
        """Take what comes next; the end of the stream here is no end of the conversation."""
        self._flush()
        octets = self._below.read(RECORD)
        if not octets:
            raise TlsError("the connection was cut off")
        self._connection.bio_write(octets)

    def _flush(self) -> None:
        """Send what TLS has to say."""
        while True:
            try:
                octets = self._connection.bio_read(RECORD * 4)
            except SSL.WantReadError:
                return
            self._below.write(octets)


def words(error: SSL.Error) -> str:
    """OpenSSL's words for an error: the reason of the last one."""
    queue = error.args[0] if error.args and isinstance(error.args[0], list) else []
    reason = queue[-1][-1] if queue else ""
    return (reason or type(error).__name__)[:MOST_ERROR]


def peer_certificate(made: SSL.Connection) -> x509.Certificate | None:
    """The other side's certificate.  Raises CertificateError if it cannot be read."""
    try:
        shown = made.get_peer_certificate()
        return None if shown is None else shown.to_cryptography()
    except (ValueError, TypeError, crypto.Error, x509.InvalidVersion) as error:
        raise CertificateError(str(error)) from error
