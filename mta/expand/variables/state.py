"""Variables of the expansion itself, of the host and of the clock."""

from __future__ import annotations

import os
import time

from mta.base import clock
from mta.base.version import VERSION
from mta.expand.context import Context
from mta.expand.registry import variable
from mta.mail import date


@variable("value")
def value(ctx: Context) -> str:
    """What a lookup, extract or run found, for the text that uses it."""
    return ctx.values.get("value", "")


@variable("item")
def item(ctx: Context) -> str:
    """The item of the list that is being looked at."""
    return ctx.values.get("item", "")


@variable("primary_hostname")
def primary_hostname(ctx: Context) -> str:
    """The name of this host."""
    return ctx.conf.naming.primary_hostname


@variable("qualify_domain")
def qualify_domain(ctx: Context) -> str:
    """The domain added to senders without one."""
    return ctx.conf.naming.qualify_domain


@variable("qualify_recipient")
def qualify_recipient(ctx: Context) -> str:
    """The domain added to recipients without one."""
    return ctx.conf.naming.qualify_recipient


@variable("spool_directory")
def spool_directory(ctx: Context) -> str:
    """The directory that holds all mail on its way."""
    return ctx.conf.queue.spool_directory


@variable("config_file", trusted=True)
def config_file(ctx: Context) -> str:
    """The file that the configuration was read from."""
    return ctx.conf.file


@variable("config_dir", trusted=True)
def config_dir(ctx: Context) -> str:
    """The directory of that file."""
    return ctx.conf.file.rpartition("/")[0] or "/"


@variable("version_number", "exim_version", trusted=True)
def version_number(ctx: Context) -> str:
    """The version of this program."""
    return VERSION


@variable("pid", trusted=True)
def pid(ctx: Context) -> str:
    """The number of this process."""
    return str(os.getpid())


@variable("caller_uid", "exim_uid", trusted=True)
def caller_uid(ctx: Context) -> str:
    """The number of the user as whom this runs."""
    return str(os.getuid())


@variable("caller_gid", "exim_gid", trusted=True)
def caller_gid(ctx: Context) -> str:
    """The number of the group as which this runs."""
    return str(os.getgid())


@variable("load_average", trusted=True)
def load_average(ctx: Context) -> str:
    """The load of the system in the last minute, times 1000."""
    return str(int(os.getloadavg()[0] * 1000))


@variable("spool_space", trusted=True)
def spool_space(ctx: Context) -> str:
    """The free space for the spool in kilobytes, -1 where that cannot be known."""
    try:
        found = os.statvfs(ctx.conf.queue.spool_directory)
    except OSError:
        return "-1"
    return str(found.f_bavail * found.f_frsize // 1024)


@variable("spool_inodes", trusted=True)
def spool_inodes(ctx: Context) -> str:
    """The free inodes for the spool, -1 where that cannot be known."""
    try:
        return str(os.statvfs(ctx.conf.queue.spool_directory).f_favail)
    except OSError:
        return "-1"


@variable("tod_epoch", trusted=True)
def tod_epoch(ctx: Context) -> str:
    """The time in seconds since 1970."""
    return str(int(clock.now()))


@variable("tod_epoch_l", trusted=True)
def tod_epoch_l(ctx: Context) -> str:
    """The time in microseconds since 1970."""
    return str(int(clock.now() * 1_000_000))


@variable("tod_full", trusted=True)
def tod_full(ctx: Context) -> str:
    """The date and time as in a Date: header."""
    return date.rfc5322(clock.now())


@variable("tod_log", trusted=True)
def tod_log(ctx: Context) -> str:
    """The date and time as in a log line."""
    return date.log_stamp(clock.now())


@variable("tod_logfile", trusted=True)
def tod_logfile(ctx: Context) -> str:
    """The date as eight digits."""
    return time.strftime("%Y%m%d", time.localtime(clock.now()))


@variable("tod_zone", trusted=True)
def tod_zone(ctx: Context) -> str:
    """The distance from UTC, such as +0100."""
    return date.zone(time.localtime(clock.now()))


@variable("tod_zulu", trusted=True)
def tod_zulu(ctx: Context) -> str:
    """The date and time in UTC, in the form 20261123150701Z."""
    return time.strftime("%Y%m%d%H%M%SZ", time.gmtime(clock.now()))


@variable("tod_bsdinbox", trusted=True)
def tod_bsdinbox(ctx: Context) -> str:
    """The date and time as in the From line of a mailbox."""
    return time.asctime(time.localtime(clock.now()))


@variable("inode", trusted=True)
def inode(ctx: Context) -> str:
    """In directory_file, the inode number of the new file; else 0."""
    return ctx.values.get("inode", "0")


@variable("mailstore_basename")
def mailstore_basename(ctx: Context) -> str:
    """While a mailstore is written, the path of its files without what tells them apart."""
    return ctx.values.get("mailstore_basename", "")
