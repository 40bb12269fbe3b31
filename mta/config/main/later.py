"""Exim's main options that this program knows and does not act upon: what becomes of each.

Setting one is an error that says so, unless the value asks for what is done anyway: an empty
list of hosts to offer TLS to, or a switch in the position we are in.  A few change nothing
that could be noticed and are only remarked upon.  An option that is built moves from here into
a topic; what nobody has ever called an option is a different error with a suggestion.
"""

from __future__ import annotations

from mta.base.text import lower
from mta.base.text import words as _words
from mta.config.option import Setting

# Not yet.  An empty value is what we do.
LATER = frozenset(
    _words("""
acl_not_smtp_mime acl_not_smtp_start acl_smtp_atrn acl_smtp_data_prdr
acl_smtp_dkim acl_smtp_etrn acl_smtp_expn acl_smtp_mime acl_smtp_notquit
acl_smtp_quit acl_smtp_starttls acl_smtp_vrfy acl_smtp_wellknown

add_environment keep_environment exim_version gecos_name gecos_pattern unknown_login
unknown_username local_from_prefix local_from_suffix localhost_number max_username_length
uucp_from_pattern uucp_from_sender ignore_fromline_hosts notifier_socket timezone

chunking_advertise_hosts hosts_connection_nolog
hosts_proxy hosts_require_alpn hosts_xclient limits_advertise_hosts
pipelining_connect_advertise_hosts smtp_reserve_hosts smtputf8_advertise_hosts
wellknown_advertise_hosts proxy_protocol_timeout
daemon_startup_retries daemon_startup_sleep rfc1413_query_timeout smtp_accept_queue
smtp_accept_reserve smtp_backlog_monitor smtp_etrn_command smtp_load_reserve
smtp_ratelimit_hosts smtp_ratelimit_mail smtp_ratelimit_rcpt

dns_cname_loops dns_trust_aa slow_lookup_log

bi_command check_log_inodes check_log_space
deliver_queue_load_max event_action headers_charset hold_domains keep_malformed
message_body_visible queue_domains
queue_only_file queue_only_load queue_smtp_domains remote_sort_domains system_filter
system_filter_directory_transport system_filter_file_transport system_filter_group
system_filter_pipe_transport system_filter_reply_transport system_filter_user
log_ports syslog_facility syslog_processname

callout_domain_negative_expire callout_domain_positive_expire callout_negative_expire
callout_positive_expire callout_random_local_part

tls_alpn tls_early_banner_hosts tls_ocsp_file

av_scanner spamd_address dkim_verify_hashes dkim_verify_keytypes dkim_verify_min_keysizes
dkim_verify_signers dmarc_forensic_sender dmarc_history_file dmarc_tld_file spf_guess
spf_smtp_comment_template

ldap_ca_cert_dir ldap_ca_cert_file ldap_cert_file ldap_cert_key ldap_cipher_suite
ldap_default_servers ldap_require_cert ldap_version mysql_servers pgsql_servers redis_servers
sqlite_dbfile sqlite_lock_timeout local_scan_timeout perl_startup
""")
)

# Switches that cannot be moved yet from where they are.
OFF = frozenset(
    _words("""
allow_utf8_domains deliver_drop_privilege disable_fsync disable_ipv6
dkim_verify_minimal ignore_fromline_local ldap_start_tls log_timezone message_body_newlines
move_frozen_messages mua_wrapper perl_at_start perl_taintmode prdr_enable
preserve_message_logs print_topbitchars queue_fast_ramp smtp_etrn_serialize spool_wireformat
strict_acl_vars strip_excess_angle_brackets strip_trailing_dot
syslog_duplication
""")
)
ON = frozenset(
    _words("""
check_rfc2047_length queue_only_load_latch queue_only_override smtp_accept_keepalive
syslog_pid syslog_timestamp tcp_nodelay
""")
)

# Whatever they are set to, nobody could tell the difference.
IGNORED = {
    "daemon_modules_load": "there are no modules to load",
    "debug_store": "memory is Python's business",
    "dns_csa_search_limit": "CSA is not checked",
    "dns_csa_use_reverse": "CSA is not checked",
    "exim_path": "no process of this program executes itself again",
    "finduser_retries": "users are looked up once",
    "gnutls_allow_auto_pkcs11": "GnuTLS is not used",
    "gnutls_compat_mode": "GnuTLS is not used",
    "lookup_open_max": "files of look-ups are kept as long as they do not change",
    "panic_coredump": "a Python traceback is in the panic log",
    "process_log_path": "ask mta status",
    "rfc1413_hosts": "clients are never asked for an ident",
    "tls_dh_max_bits": "OpenSSL has a limit of its own",
    "tls_resumption_hosts": "sessions are resumed where no certificate is asked for",
}

# Declared, as -bP shows them, and only their defaults are obeyed.  Whoever makes one work
# removes it here.
DEFAULT_ONLY = frozenset(
    _words("""
smtp_return_error_details
""")
)

# Declared too; they change what can be seen or how long something takes, but not what becomes
# of any message, so any value will do until they work.
NO_EFFECT_YET = {
    "log_selector": "beside smtp_mailauth and tls_... the usual is logged",
    "queue_run_in_order": "messages are tried when they are due",
    "queue_run_max": "one process knows the queue, and deliver_max_parallel limits it",
    "worker_max_use": "workers are kept while there is work",
    "write_rejectlog": "the reject log is always written",
}

# Other names of the same.
SYNONYMS = {
    "daemon_smtp_port": "daemon_smtp_ports",
    "return_size_limit": "bounce_return_size_limit",
}

NEVER = {
    "bmi_config_file": "Brightmail is proprietary and gone",
    "dcc_direct_add_header": "the DCC service is not free",
    "dccifd_address": "the DCC service is not free",
    "dccifd_options": "the DCC service is not free",
    "drop_cr": "it has done nothing since Exim 4.21; remove it",
    "exim_group": "write mail_user and network_user instead",
    "exim_user": "write mail_user and network_user instead",
    "ibase_servers": "InterBase has no users left",
    "oracle_servers": "Oracle's client library is proprietary",
    "percent_hack_domains": "a%b@c is an invitation to relay",
    "tcp_wrappers_daemon_name": "TCP wrappers are gone; use hosts lists and the firewall",
}

NAMES = LATER | OFF | ON | IGNORED.keys() | SYNONYMS.keys() | NEVER.keys()


def refusal(setting: Setting) -> str:
    """Why a setting of an option in LATER, OFF, ON or NEVER cannot be obeyed; "" if it can."""
    name, value = setting.name, setting.value
    wanted = True
    for prefix in ("no_", "not_"):
        if name.startswith(prefix) and name.removeprefix(prefix) in OFF | ON:
            name, wanted = name.removeprefix(prefix), False
    if name in NEVER:
        return f'option "{name}" is Exim\'s and is not supported: {NEVER[name]}'
    if name in OFF or name in ON:
        if value is not None and lower(value) in ("no", "false"):
            wanted = False
        if wanted == (name in ON):
            return ""
    elif value == "":
        return ""
    return f'option "{name}" is Exim\'s but is not supported yet'


def known(name: str) -> bool:
    """True for a name that belongs here, with or without "no_" where that is allowed."""
    if name in NAMES:
        return True
    return any(
        name.startswith(prefix) and name.removeprefix(prefix) in OFF | ON
        for prefix in ("no_", "not_")
    )
