"""The redirect router: aliases, lists and forwards, from an expansion or from a file."""

from __future__ import annotations

import errno
import os
import re
from functools import partial

from mta.base.errors import ConfigError, ExpansionFail, TempFail
from mta.base.text import lower
from mta.config import kinds
from mta.config.option import Option
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.trust import keep, require
from mta.route.api import (
    DECLINED,
    Address,
    Child,
    Deferred,
    Failed,
    Replaced,
    Verdict,
)
from mta.route.forward_list import ListError, Rules, Special, read_file, read_list
from mta.route.router import Router, router

_CODE = re.compile(r"[45][0-9]{2}[ -]+(?:([45]\.[0-9]{1,3}\.[0-9]{1,3})\b)?")
_BAD_REDIRECT = -17
_UNKNOWN = -1


@router("redirect")
class Redirect(Router):
    """Puts other addresses in the place of one: aliases, mailing lists, forwarding.

    The list comes from `data`, expanded, or from a `file`; an empty one, or none, declines.
    Items may be addresses, `:include:` files, `:blackhole:`, and where allowed `:fail:`,
    `:defer:`, files and pipes.
    """

    allow_defer = Option(kinds.boolean, "false", "Allow :defer: in the list.")
    allow_fail = Option(kinds.boolean, "false", "Allow :fail: in the list.")
    check_ancestor = Option(
        kinds.boolean, "false", "Put an address that it came from before by this one."
    )
    data = Option(kinds.expanded, "", "The list, expanded for each address.")
    directory_transport = Option(
        kinds.expanded, "", "The transport for items that are paths ending in a slash."
    )
    file = Option(kinds.expanded, "", "The path of a file that holds the list.")
    file_transport = Option(kinds.expanded, "", "The transport for items that are paths.")
    forbid_blackhole = Option(kinds.boolean, "false", "Forbid :blackhole: in the list.")
    forbid_file = Option(kinds.boolean, "false", "Forbid items that are paths.")
    forbid_include = Option(kinds.boolean, "false", "Forbid :include: in the list.")
    forbid_pipe = Option(kinds.boolean, "false", "Forbid items that are pipes.")
    forbid_smtp_code = Option(
        kinds.boolean, "false", "Take a code at the start of :fail: texts for mere text."
    )
    hide_child_in_errmsg = Option(
        kinds.boolean, "false", "Name only the parent address in bounces."
    )
    ignore_eacces = Option(kinds.boolean, "false", "A file that may not be read is none.")
    ignore_enotdir = Option(
        kinds.boolean, "false", "A file in a place that is no directory is none."
    )
    include_directory = Option(
        kinds.expanded, "", "The only directory that :include: may read from."
    )
    pipe_transport = Option(kinds.expanded, "", "The transport for items that are pipes.")
    qualify_domain = Option(kinds.expanded, "", "The domain for addresses without one.")
    skip_syntax_errors = Option(
        kinds.boolean, "false", "Leave out items that are no addresses."
    )

    def check(self) -> None:
        if ("data" in self.where) == (self.file is not None):
            raise ConfigError(
                self.place,
                f'{self.name} router: one of "file" or "data" must be specified, not both',
            )
        if self.file is not None and self.check_local_user:
            raise ConfigError(
                self.where["file"],
                f'{self.name} router: "file" with "check_local_user" is not supported yet',
                "files of users are read as the user",
            )

    def route(self, ctx: Context, address: Address) -> Verdict:
        try:
            text = self._text(ctx)
            if text is None or (not text and self.include_directory is None):
                return DECLINED
            rules = self._rules(ctx, address)
            found = read_list(text, rules)
        except ListError as error:
            source = "redirect data" if self.data is not None else "redirect file"
            return Deferred(
                f"error in {source}: {error.text}",
                freeze=not error.by_include,
                code=_BAD_REDIRECT,
            )
        if isinstance(found, Special):
            return self._special(found)
        if not found and not rules.errors:
            return DECLINED
        return Replaced(tuple(self._complete(ctx, address, child) for child in found))

    def _text(self, ctx: Context) -> str | None:
        """The list; None where there is no such file.  Raises ListError, TempFail."""
        if self.file is None:
            return "" if self.data is None else expand(ctx, self.data)
        path = require(expand(ctx, self.file), "file of a redirect router", self.file.where)
        if not path.startswith("/"):
            raise TempFail(f'"{path}" is not an absolute path', code=_UNKNOWN)
        none = {errno.ENOENT}
        none |= {errno.EACCES} if self.ignore_eacces else set()
        none |= {errno.ENOTDIR} if self.ignore_enotdir else set()
        try:
            os.stat(path)
        except OSError as error:
            if error.errno in none:
                return None
        # The administrator chose the path, so what stands there is his.
        return keep(path, read_file(path))

    def _rules(self, ctx: Context, address: Address) -> Rules:
        directory: str = ""
        if self.include_directory is not None:
            where = self.include_directory.where
            text = expand(ctx, self.include_directory)
            directory = str(require(text, "include_directory", where)).rstrip("/")
        return Rules(
            partial(self._qualify, ctx, address),
            allow_fail=self.allow_fail,
            allow_defer=self.allow_defer,
            allow_blackhole=not self.forbid_blackhole,
            allow_include=not self.forbid_include,
            include_directory=directory,
            errors=[] if self.skip_syntax_errors else None,
        )

    def _qualify(self, ctx: Context, address: Address, local_part: str, same: bool) -> str:
        if same:
            return f"{local_part}@{address.domain}"
        naming = ctx.conf.naming
        domain: str = (
            naming.qualify_recipient or naming.qualify_domain or naming.primary_hostname
        )
        if self.qualify_domain is not None:
            domain = expand(ctx, self.qualify_domain)
        return f"{local_part}@{domain}"

    def _special(self, special: Special) -> Verdict:
        if special.kind == "blackhole":
            return Replaced(())
        if special.kind == "defer":
            return Deferred(special.text or "forced defer", code=_UNKNOWN)
        code = None if self.forbid_smtp_code else _CODE.match(special.text)
        status = code[1] if code and code[1] else "5.0.0"
        return Failed(special.text or "forced rejection", status=status)

    def _complete(self, ctx: Context, address: Address, child: Child) -> Child:
        """The child with its transport, or with the reason why it is not allowed."""
        if child.kind == "pipe":
            if self.forbid_pipe:
                return Child(child.text, "pipe", refused="delivery to pipe forbidden")
            return Child(child.text, "pipe", self._name(ctx, self.pipe_transport))
        if child.kind == "file":
            if self.forbid_file:
                return Child(child.text, "file", refused="delivery to file forbidden")
            option = self.file_transport
            if child.text.endswith("/") and self.directory_transport is not None:
                option = self.directory_transport
            return Child(child.text, "file", self._name(ctx, option))
        if self.check_ancestor and _is_ancestor(child.text, address):
            return Child(address.text)
        return child

    def _name(self, ctx: Context, option: Template | None) -> str:
        """The transport of this name; one that a stranger chose is none."""
        if option is None:
            return ""
        try:
            return require(expand(ctx, option), "name of a transport", option.where)
        except ExpansionFail as error:
            raise TempFail(f'failed to expand "{option.text}": {error.text}') from error


def _is_ancestor(text: str, address: Address) -> bool:
    ancestor = address.parent
    while ancestor is not None:
        if lower(ancestor.text) == lower(text):
            return True
        ancestor = ancestor.parent
    return False
