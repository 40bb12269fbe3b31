"""Router options that Exim has and this program does not act upon yet, with the reason.

Setting one is an error: mail that is routed by half of what was asked is worse than a message
at the start.  A name leaves this table when its option is declared.
"""

from __future__ import annotations

from mta.base.errors import ConfigError
from mta.config.option import Setting

_GENERIC = (
    "fallback_hosts",
    "translate_ip_address",
)
_REFUSED = (
    "bmi_deliver_alternate",
    "bmi_deliver_default",
    "bmi_dont_deliver",
    "bmi_rule",
)
_PRIVATE = {
    "dnslookup": ("rewrite_headers",),
    "redirect": (
        "filter_prepend_home",
        "sieve_enotify_mailto_owner",
        "sieve_inbox",
        "sieve_subaddress",
        "sieve_useraddress",
        "sieve_vacation_directory",
    ),
}

# Drivers of Exim's that have no file here.
DRIVERS = ("iplookup", "queryprogram")


def refuse(driver: str, settings: tuple[Setting, ...]) -> None:
    """Raise ConfigError for the first setting that Exim knows and we do not act upon."""
    known = (*_GENERIC, *_PRIVATE.get(driver, ()))
    for setting in settings:
        name = setting.name
        bare = name.removeprefix("no_").removeprefix("not_")
        if name in _REFUSED:
            raise ConfigError(setting.where, f'option "{name}" is not supported: Brightmail')
        if name in known or bare in known:
            raise ConfigError(setting.where, f'option "{name}" is not supported yet')
