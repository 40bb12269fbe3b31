"""Options and drivers of Exim's transports that are known here but not acted upon yet.

Setting one is refused by name, so that nobody believes that it works.
"""

from __future__ import annotations

from mta.base.text import words

DRIVERS = ("queuefile",)

GENERIC = frozenset(
    words("""
    event_action headers_rewrite max_parallel retry_use_local_part
    shadow_condition shadow_transport
    """)
)

OF_DRIVER = {
    "appendfile": frozenset(
        words("""
        mbx_format notify_comsat quota_warn_message quota_warn_threshold use_mbx_lock
        """)
    ),
    "pipe": frozenset(words("pipe_as_creator use_classresources")),
    "smtp": frozenset(
        words("""
        arc_sign
        dane_require_tls_ciphers dkim_canon
        dkim_domain dkim_hash dkim_identity dkim_private_key dkim_selector dkim_sign_headers
        dkim_strict dkim_timestamps
        dscp fallback_hosts
        gnutls_compat_mode host_name_extract hosts_avoid_esmtp
        hosts_avoid_pipelining hosts_noproxy_tls hosts_nopass_tls
        hosts_pipe_connect hosts_require_alpn
        hosts_require_dane hosts_require_ocsp
        hosts_request_ocsp hosts_try_chunking hosts_try_dane
        hosts_try_fastopen hosts_try_prdr
        message_linelength_limit serialize_hosts socks_proxy
        tls_alpn tls_dh_min_bits tls_resumption_hosts utf8_downconvert
        """)
    ),
}
