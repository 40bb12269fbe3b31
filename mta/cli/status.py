"""`mta status`: whether the daemon runs, since when, with what, and what it is doing."""

from __future__ import annotations

import time
from dataclasses import dataclass

import click
import psutil  # type: ignore[import-untyped]  # it ships no types

from mta.base import clock
from mta.cli import control, listing, output
from mta.proc.control import Status, StatusIs


@dataclass(frozen=True, slots=True)
class Seen:
    """One process of the daemon, as the system shows it."""

    pid: int
    user: str
    title: str
    cpu_seconds: float
    memory: int  # octets that are resident


@click.command()
@output.placed
@output.with_json
def status(config: str, macros: tuple[str, ...], json_: bool) -> None:
    """Say how the daemon is: processes, queue, configuration."""
    with control.Control(output.spool_of(config, macros)) as asked:
        answer = asked.status(Status())
    found = processes(answer.master_pid)
    since = begun(answer)
    if json_:
        names = tuple(StatusIs.__dataclass_fields__)
        shown = [output.record(each, tuple(Seen.__dataclass_fields__)) for each in found]
        output.as_json({**output.record(answer, names), "since": since, "processes": shown})
        return
    _print(answer, since, found)


def begun(answer: StatusIs) -> int:
    """When the master started; the runner that answers may be of a later generation."""
    try:
        return int(psutil.Process(answer.master_pid).create_time())
    except psutil.Error:
        return answer.started


def processes(master: int) -> list[Seen]:
    """The master and all below it; none when it is gone."""
    try:
        top = psutil.Process(master)
        family = [top, *top.children(recursive=True)]
    except psutil.Error:
        return []
    found = []
    for each in family:
        try:
            with each.oneshot():
                times = each.cpu_times()
                found.append(
                    Seen(
                        each.pid,
                        each.username(),
                        _title(each),
                        round(times.user + times.system, 2),
                        each.memory_info().rss,
                    )
                )
        except psutil.Error:  # it has ended meanwhile
            continue
    return found


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment))


def _title(each: psutil.Process) -> str:
    words = each.cmdline()
    return str(words[0] if words and words[0].startswith("mta: ") else each.name())


def _print(answer: StatusIs, since: int, found: list[Seen]) -> None:
    state = "draining" if answer.draining else "running"
    age = listing.age(clock.now() - since).lstrip(" ")
    click.echo(f"mta {answer.version} is {state} since {_clock(since)} ({age})")
    click.echo(f"configuration  {answer.configuration}, read {_clock(answer.started)}")
    click.echo(f"queue          {answer.waiting} waiting, {answer.running} being tried")
    click.echo("")
    rows = [
        (
            str(each.pid),
            each.user,
            f"{each.memory >> 20} MiB",
            f"{each.cpu_seconds:.2f}",
            each.title,
        )
        for each in found
    ]
    output.table(("PID", "USER", "MEMORY", "CPU S", "PROCESS"), rows)
