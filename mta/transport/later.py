"""Options and drivers of Exim's transports that are known here but not acted upon yet.

Setting one is refused by name, so that nobody believes that it works.
"""

from __future__ import annotations

from mta.base.text import words

DRIVERS = ("autoreply", "lmtp", "pipe", "queuefile")

GENERIC = frozenset(
    words("""
    body_only event_action headers_only headers_rewrite max_parallel retry_use_local_part
    shadow_condition shadow_transport transport_filter transport_filter_timeout
    """)
)

OF_DRIVER = {
    "appendfile": frozenset(
        words("""
        allow_fifo allow_symlink batch_id check_group check_owner check_string create_file
        directory_file escape_string file file_format file_must_exist lock_fcntl_timeout
        lock_flock_timeout lock_interval lock_retries lockfile_mode lockfile_timeout
        mailbox_filecount mailbox_size maildir_quota_directory_regex maildir_retries
        maildir_tag maildir_use_size_file maildirfolder_create_regex mailstore_format
        mailstore_prefix
        mailstore_suffix mbx_format message_prefix message_suffix mode_fail_narrower
        notify_comsat quota quota_directory quota_filecount quota_is_inclusive
        quota_size_regex quota_warn_message quota_warn_threshold use_bsmtp use_crlf
        use_fcntl_lock use_flock_lock use_lockfile use_mbx_lock
        """)
    ),
    "smtp": frozenset(
        words("""
        address_retry_include_sender arc_sign
        dane_require_tls_ciphers delay_after_cutoff dkim_canon
        dkim_domain dkim_hash dkim_identity dkim_private_key dkim_selector dkim_sign_headers
        dkim_strict dkim_timestamps dns_qualify_single dns_search_parents
        dnssec_request_domains dnssec_require_domains dscp fallback_hosts
        gethostbyname gnutls_compat_mode host_name_extract hosts_avoid_esmtp
        hosts_avoid_pipelining hosts_noproxy_tls hosts_nopass_tls
        hosts_override hosts_pipe_connect hosts_require_alpn
        hosts_require_dane hosts_require_ocsp
        hosts_request_ocsp hosts_try_chunking hosts_try_dane
        hosts_try_fastopen hosts_try_prdr lmtp_ignore_quota
        message_linelength_limit retry_include_ip_address serialize_hosts socks_proxy
        tls_alpn tls_dh_min_bits tls_resumption_hosts utf8_downconvert
        """)
    ),
}
