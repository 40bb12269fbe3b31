"""The words of Exim's ACLs that are not there yet: an honest answer instead of a guess."""

from __future__ import annotations

CONDITIONS = frozenset(
    "bmi_optin dcc decode dkim_signers dkim_status dmarc_status dnslists malware mime_regex "
    "queue ratelimit regex seen spam spf spf_guess udpsend".split(" ")
)
CONTROLS = frozenset(
    "bmi_run cutthrough_delivery debug dscp fakedefer fakereject "
    "utf8_downconvert wellknown".split(" ")
)
VERIFICATIONS = frozenset("arc csa header_sender".split(" "))
