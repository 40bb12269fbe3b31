"""The redirect router: aliases, lists and forwards, from an expansion or from a file.

The file of a user is read as that user (mta/route/files.py); here its owner and its mode are
judged, and what stands in it is taken for text of his: nothing of it is expanded, and the
files, pipes and includes that it names are opened by processes that have become him.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from functools import partial

from mta.base.errors import ConfigError, ExpansionFail, TempFail, describe
from mta.base.text import lower, to_text
from mta.base.trust import Trusted, is_trusted
from mta.config import kinds
from mta.config.option import Option
from mta.config.template import Template
from mta.expand.context import Context
from mta.expand.run import expand
from mta.expand.trust import keep, require
from mta.route import ownership
from mta.route.api import (
    DECLINED,
    NOBODY,
    Address,
    Child,
    Deferred,
    Failed,
    Owner,
    Replaced,
    Verdict,
)
from mta.route.files import UNKNOWN, Gathered, Seen, disagreement, look
from mta.route.forward_list import (
    INCLUDE,
    ListError,
    Rules,
    Special,
    all_included,
    read_list,
)
from mta.route.inherit import owner_of
from mta.route.router import Router, router

_CODE = re.compile(r"[45][0-9]{2}[ -]+(?:([45]\.[0-9]{1,3}\.[0-9]{1,3})\b)?")
_FILTER = re.compile(r"[ \t\r\n]*+#[ \t]*+(?:exim|sieve)[ \t]*+filter", re.IGNORECASE)
_BAD_REDIRECT = -17


@router("redirect")
class Redirect(Router):
    """Puts other addresses in the place of one: aliases, mailing lists, forwarding.

    The list comes from `data`, expanded, or from a `file`; an empty one, or none, declines.
    Items may be addresses, `:include:` files, `:blackhole:`, and where allowed `:fail:`,
    `:defer:`, files and pipes.
    """

    allow_defer = Option(kinds.boolean, "false", "Allow :defer: in the list.")
    allow_fail = Option(kinds.boolean, "false", "Allow :fail: in the list.")
    allow_filter = Option(
        kinds.boolean,
        "false",
        "Allow filter files; they are not run yet, and one defers its address.",
    )
    allow_freeze = Option(kinds.boolean, "false", "Allow a filter to freeze a message.")
    check_ancestor = Option(
        kinds.boolean, "false", "Put this address for one that it came from before."
    )
    check_group = Option(
        kinds.boolean,
        "false",
        "The file must have the user's group, or one of owngroups; the default is true where "
        "these are set, or a user's file may be writable by its group.",
    )
    check_owner = Option(
        kinds.boolean,
        "false",
        "The file must belong to the local user, or to one of owners; the default is true "
        "where one of these is set.",
    )
    data = Option(kinds.expanded, "", "The list, expanded for each address.")
    directory_transport = Option(
        kinds.expanded, "", "The transport for items that are paths ending in a slash."
    )
    file = Option(
        kinds.expanded,
        "",
        "The path of a file that holds the list. It is read as the user of the router, or the "
        "local user; root's own is never read.",
    )
    file_transport = Option(kinds.expanded, "", "The transport for items that are paths.")
    forbid_blackhole = Option(kinds.boolean, "false", "Forbid :blackhole: in the list.")
    forbid_exim_filter = Option(kinds.boolean, "false", "Forbid filters of this kind.")
    forbid_file = Option(kinds.boolean, "false", "Forbid items that are paths.")
    forbid_filter_dlfunc = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_existstest = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_logwrite = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_lookup = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_perl = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_readfile = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_readsocket = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_reply = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_filter_run = Option(kinds.boolean, "false", "Forbid filters to use this.")
    forbid_include = Option(kinds.boolean, "false", "Forbid :include: in the list.")
    forbid_pipe = Option(kinds.boolean, "false", "Forbid items that are pipes.")
    forbid_sieve_filter = Option(kinds.boolean, "false", "Forbid filters of this kind.")
    forbid_smtp_code = Option(
        kinds.boolean, "false", "Take a code at the start of :fail: texts for mere text."
    )
    hide_child_in_errmsg = Option(
        kinds.boolean, "false", "Name only the parent address in bounces."
    )
    ignore_eacces = Option(kinds.boolean, "false", "A file that may not be read is none.")
    ignore_enotdir = Option(
        kinds.boolean,
        "false",
        "A file in a place that is no directory is none, nor is one whose directory is away.",
    )
    include_directory = Option(
        kinds.expanded, "", "The only directory that :include: may read from."
    )
    modemask = Option(kinds.octal, "022", "Permissions that the file must not have.")
    one_time = Option(
        kinds.boolean,
        "false",
        "Addresses that cannot be delivered to at once take the place of the recipient, and "
        "the list is not read again; it may name neither files nor pipes.",
    )
    owners = Option(kinds.string_list, "", "Users to whom the file may belong.")
    owngroups = Option(kinds.string_list, "", "Groups that the file may have.")
    pipe_transport = Option(kinds.expanded, "", "The transport for items that are pipes.")
    qualify_domain = Option(kinds.expanded, "", "The domain for addresses without one.")
    qualify_preserve_domain = Option(
        kinds.boolean, "false", "Addresses without a domain get that of the address."
    )
    reply_transport = Option(kinds.expanded, "", "The transport for replies of filters.")
    rewrite = Option(kinds.boolean, "true", "Rewrite new addresses as the rules say.")
    skip_syntax_errors = Option(
        kinds.boolean, "false", "Leave out items that are no addresses."
    )
    syntax_errors_text = Option(
        kinds.expanded, "", "What a message about items that were left out begins with."
    )
    syntax_errors_to = Option(
        kinds.expanded, "", "The address that is told of items that were left out."
    )

    def check(self) -> None:
        if ("data" in self.where) == (self.file is not None):
            raise ConfigError(
                self.place,
                f'{self.name} router: one of "file" or "data" must be specified, not both',
            )
        if self.qualify_preserve_domain and self.qualify_domain is not None:
            raise ConfigError(
                self.where["qualify_domain"],
                f'{self.name} router: only one of "qualify_domain" and '
                '"qualify_preserve_domain" must be set',
            )
        if self.one_time:
            self.forbid_file = self.forbid_pipe = self.forbid_filter_reply = True
            for name in ("headers_add", "headers_remove", "unseen"):
                if name in self.where:
                    raise ConfigError(
                        self.where[name],
                        f'{self.name} router: "{name}" must not be set together with one_time',
                        "what it does would be lost for addresses that are delayed",
                    )
        self.permitted = ownership.permitted(
            self,
            owners=self.owners,
            groups=self.owngroups,
            check_owner=self.check_owner if "check_owner" in self.where else None,
            check_group=self.check_group if "check_group" in self.where else None,
            forbidden_mode=self.modemask,
        )

    @property
    def is_one_time(self) -> bool:
        return self.one_time

    def route(self, ctx: Context, address: Address) -> Verdict:
        try:
            found, skipped = self.read(ctx, address)
        except ListError as error:
            return Deferred(error.text, freeze=not error.by_include, code=_BAD_REDIRECT)
        address.skipped = tuple(skipped)
        if isinstance(found, Special):
            return self._special(found)
        if not found:
            return DECLINED
        address.is_hidden = address.is_hidden or self.hide_child_in_errmsg
        return Replaced(tuple(self._complete(ctx, address, child) for child in found))

    def read(self, ctx: Context, address: Address) -> tuple[list[Child] | Special, list[str]]:
        """What the list says, and what was left out of it; nothing where there is no list.

        Raises ListError, TempFail, ExpansionFail.
        """
        owner = owner_of(self, ctx, address)
        if self.file is None:
            kind, text = "data", "" if self.data is None else expand(ctx, self.data)
            included = self._included_by(ctx, address, owner, text)
        else:
            kind, path = "file", self._path(ctx)
            gathered = self._gathered(ctx, address, owner, path)
            seen = gathered.list
            if seen is None or not self._is_usable(address, seen):
                return [], []
            # What the user wrote is trusted only where we are the user.
            text = to_text(seen.octets)
            text = keep(path, text) if gathered.is_own else text
            included = gathered.included.get
        if _FILTER.match(text):
            raise ListError(f"error in filter {kind}: filtering not enabled")
        rules = self._rules(ctx, address, included)
        try:
            return read_list(text, rules), rules.errors or []
        except ListError as error:
            text = f"error in redirect {kind}: {error.text}"
            raise ListError(text, by_include=error.by_include) from error

    def gather(self, ctx: Context, address: Address) -> Gathered:
        """The list and what it includes, read as who we are; see Router."""
        beneath = self._include_directory(ctx)
        if self.file is None:
            text = "" if self.data is None else expand(ctx, self.data)
            found = all_included(text, beneath) if is_trusted(text) else {}
            return Gathered(None, found, is_own=True)
        path = self._path(ctx)
        seen = look(path)
        if seen.error == errno.ENOENT:
            seen = self._missing(path)
        included = {} if seen.error else all_included(to_text(seen.octets), beneath)
        return Gathered(seen, included, is_own=True)

    def _path(self, ctx: Context) -> Trusted:
        """The absolute path that `file` says.  Raises TempFail, ExpansionFail."""
        assert self.file is not None
        path = require(expand(ctx, self.file), "file of a redirect router", self.file.where)
        if not path.startswith("/"):
            raise TempFail(f'"{path}" is not an absolute path', code=UNKNOWN)
        return path

    def _gathered(
        self, ctx: Context, address: Address, owner: Owner, path: Trusted
    ) -> Gathered:
        """The file and what it includes, as its owner sees it."""
        if owner == NOBODY:
            return self.gather(ctx, address)
        try:
            os.stat(path)
        except FileNotFoundError:
            # Nothing is read, and the most frequent case is known without asking anybody.
            return Gathered(self._missing(path), {}, is_own=False)
        except (OSError, ValueError):
            pass  # its owner may see more
        gathered = self.files.gather(self, ctx, address, owner)
        if gathered.list is not None and gathered.list.path != path:
            raise disagreement(path, gathered.list.path)
        return gathered

    def _is_usable(self, address: Address, seen: Seen) -> bool:
        """False for a file that counts as missing.  Raises TempFail for one that is not as it
        has to be."""
        if seen.error == errno.ENOENT and not seen.trouble:
            return False
        if seen.error == errno.EACCES and self.ignore_eacces:
            return False
        if seen.error == errno.ENOTDIR and self.ignore_enotdir:
            return False
        trouble = seen.trouble or ownership.trouble(self.permitted, address, seen)
        if trouble:
            raise TempFail(trouble, code=UNKNOWN)
        return True

    def _missing(self, path: str) -> Seen:
        """What is said of a file that does not exist, or only seems so as its directory, or
        the file system that holds it, is away."""
        above = f"{os.path.dirname(path)}/."
        trouble = ""
        if not self.ignore_enotdir:
            try:
                os.stat(above)
            except OSError as error:
                trouble = f"failed to stat {above} ({describe(error)})"
        return Seen(path, errno.ENOENT, trouble)

    def _included_by(
        self, ctx: Context, address: Address, owner: Owner, text: str
    ) -> Callable[[str], Seen | None] | None:
        """Where the files come from that `data` includes: from its owner, if it has one."""
        if owner != NOBODY and INCLUDE in text:
            return self.files.gather(self, ctx, address, owner).included.get
        return None

    def _include_directory(self, ctx: Context) -> str:
        if self.include_directory is None:
            return ""
        text = expand(ctx, self.include_directory)
        return require(text, "include_directory", self.include_directory.where).rstrip("/")

    def _rules(
        self, ctx: Context, address: Address, included: Callable[[str], Seen | None] | None
    ) -> Rules:
        return Rules(
            partial(self._qualify, ctx, address),
            allow_fail=self.allow_fail,
            allow_defer=self.allow_defer,
            allow_blackhole=not self.forbid_blackhole,
            allow_include=not self.forbid_include,
            include_directory=self._include_directory(ctx),
            errors=[] if self.skip_syntax_errors else None,
            included=included,
        )

    def _qualify(self, ctx: Context, address: Address, local_part: str, same: bool) -> str:
        if same or self.qualify_preserve_domain:
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
            return Deferred(special.text or "forced defer", code=UNKNOWN)
        code = None if self.forbid_smtp_code else _CODE.match(special.text)
        status = code[1] if code and code[1] else "5.0.0"
        return Failed(special.text or "forced rejection", status=status)

    def _complete(self, ctx: Context, address: Address, child: Child) -> Child:
        """The child with its transport, or with the reason why it is not allowed."""
        if child.kind == "address":
            if self.check_ancestor and _is_ancestor(child.text, address):
                return Child(address.text)
            return child
        name, option, is_forbidden = "file_transport", self.file_transport, self.forbid_file
        if child.kind == "pipe":
            name, option, is_forbidden = (
                "pipe_transport",
                self.pipe_transport,
                self.forbid_pipe,
            )
        elif child.text.endswith("/"):
            name, option = "directory_transport", self.directory_transport
        return Child(
            child.text,
            child.kind,
            self._name(ctx, option),
            f"delivery to {child.kind} forbidden" if is_forbidden else "",
            name if option is None else "",
        )

    def _name(self, ctx: Context, option: Template | None) -> str:
        """The transport of this name; one that a stranger chose is none."""
        if option is None:
            return ""
        try:
            return require(expand(ctx, option), "name of a transport", option.where)
        except ExpansionFail as error:
            raise TempFail(f'failed to expand "{option.text}": {error.text}') from error

    def whom_to_tell(self, ctx: Context) -> tuple[str, str]:
        """Whom syntax_errors_to names, and syntax_errors_text; nobody where that fails."""
        if self.syntax_errors_to is None:
            return "", ""
        try:
            to = expand(ctx, self.syntax_errors_to)
            text = self.syntax_errors_text
            return to, "" if text is None else expand(ctx, text)
        except (ExpansionFail, TempFail):
            return "", ""


def _is_ancestor(text: str, address: Address) -> bool:
    ancestor: Address | None = address
    while ancestor is not None:
        if lower(ancestor.text) == lower(text):
            return True
        ancestor = ancestor.parent
    return False
