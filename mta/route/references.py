"""Checks when routers are loaded: whatever one of them names must exist."""

from __future__ import annotations

from mta.base.errors import ConfigError
from mta.base.registry import suggestion
from mta.config.model import Configuration
from mta.config.template import Template
from mta.match.check import check_options
from mta.route import variables
from mta.route.router import Router

_TRANSPORTS = (
    "transport",
    "file_transport",
    "directory_transport",
    "pipe_transport",
    "reply_transport",
)


def check(conf: Configuration, routers: list[Router]) -> None:
    """Routers and transports that are named must exist; pass_router must come later."""
    names = [router.name for router in routers]
    transports = [block.name for block in conf.transports]
    for number, router in enumerate(routers):
        # Lists that are known now must make sense now.
        for error in check_options(conf, router):
            raise error
        for option, known in (("redirect_router", names), ("pass_router", names)):
            name = getattr(router, option)
            if name and name not in known:
                _unknown(router, option, name, known)
        if router.pass_router and names.index(router.pass_router) <= number:
            raise ConfigError(
                router.where["pass_router"],
                f'{router.name} router: pass_router "{router.pass_router}" does not follow it',
            )
        variables.check(router)
        for option in _TRANSPORTS:
            template = getattr(router, option, None)
            if not isinstance(template, Template) or "$" in template.text:
                continue
            if template.text not in transports:
                _unknown(router, option, template.text, transports)


def _unknown(router: Router, option: str, name: str, known: list[str]) -> None:
    raise ConfigError(
        router.where[option],
        f'{router.name} router: {option} "{name}" does not exist',
        suggestion(name, known),
    )
