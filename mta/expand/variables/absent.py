"""Variables whose subsystem this program does not have yet: known, and always empty.

Exim leaves them empty too where the thing they speak of did not happen.
"""

from __future__ import annotations

from mta.expand.context import Context
from mta.expand.registry import variable

_EMPTY = (
    "tls_in_ourcert tls_in_peercert tls_out_ourcert tls_out_peercert dnslist_domain"
    " dnslist_matched dnslist_text dnslist_value host_data sender_data queue_name"
    " smtp_command smtp_command_argument smtp_command_history"
    " event_name event_data recipient_data recipient_verify_failure sender_verify_failure"
    " malware_name spam_score spam_score_int spam_bar spam_report spam_action spf_result"
    " spf_received dkim_verify_status dkim_domain dkim_signers dmarc_status arc_state"
    " sender_rate sender_rate_limit sender_rate_period sending_ip_address verify_mode"
    " callout_address csa_status dkim_algo dkim_canon_body dkim_canon_headers"
    " dkim_copiedheaders dkim_headernames dkim_identity dkim_key_notes dkim_selector"
    " dkim_verify_reason ldap_dn"
    " message_body_end mime_anomaly_text mime_boundary mime_charset mime_content_description"
    " mime_content_disposition mime_content_id mime_content_transfer_encoding"
    " mime_content_type mime_decoded_filename mime_filename proxy_external_address"
    " proxy_local_address prvscheck_address prvscheck_keynum prvscheck_result queue_size"
    " regex_match_string smtp_notquit_reason spf_header_comment spf_smtp_comment"
    " srs_recipient"
    " dkim_cur_signer headers_added local_scan_data thisaddress"
).split(" ")
_FIXED = {
    "av_failed": "0",
    "dkim_bodylength": "9999999999999",
    "dkim_created": "0",
    "dkim_expires": "9999999999999",
    "dkim_key_granularity": "*",
    "dkim_key_length": "0",
    "dkim_key_nosubdomains": "0",
    "dkim_key_srvtype": "*",
    "dkim_key_testing": "0",
    "event_defer_errno": "0",
    "localhost_number": "0",
    "message_smtputf8": "no",
    "mime_anomaly_level": "0",
    "mime_content_size": "0",
    "mime_is_coverletter": "0",
    "mime_is_multipart": "0",
    "mime_is_rfc822": "0",
    "mime_part_count": "-1",
    "proxy_external_port": "0",
    "proxy_local_port": "0",
    "regex_cachesize": "0",
    "sender_helo_dnssec": "no",
    "sender_host_dnssec": "no",
    "smtp_count_at_connection_start": "0",
    "spf_result_guessed": "no",
    "tls_in_resumption": "0",
    "tls_out_dane": "no",
    "tls_out_resumption": "0",
    "tls_out_tlsa_usage": "0",
    "body_zerocount": "0",
    "prdr_requested": "no",
    "proxy_session": "no",
    "runrc": "0",
    "sending_port": "-1",
    "tls_in_ocsp": "0",
    "tls_out_ocsp": "0",
}


def _declare(name: str, value: str) -> None:
    def read(ctx: Context) -> str:
        return value

    read.__doc__ = f"Not filled yet: always {value!r}."
    variable(name, trusted=True)(read)


for _name in _EMPTY:
    _declare(_name, "")
for _name, _value in _FIXED.items():
    _declare(_name, _value)
