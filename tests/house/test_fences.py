"""What only certain modules may do: third parties, forks, trust, output, waiting."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

from tests.harness.source import Module, calls, imports, modules

FENCES = {
    "dns": ("mta/net/dns.py", "mta/lookup/drivers/dnsdb.py"),
    "OpenSSL": ("mta/net/tls.py", "mta/net/tls_contexts.py"),
    "cryptography": (
        "mta/net/certificates.py",
        "mta/net/tls.py",
        "mta/net/tls_contexts.py",
        "mta/scan/",
    ),
    "click": ("mta/cli/",),
    "setproctitle": ("mta/unix/process.py",),
    "psutil": ("mta/unix/load.py", "mta/net/own.py", "mta/cli/"),
    "idna": ("mta/mail/idna.py",),
    "pytest": ("mta/cli/selftest.py",),
}
TRUSTED_MAKERS = (
    "mta/base/trust.py",
    "mta/config/",
    "mta/lookup/",
    "mta/unix/users.py",
    "mta/match/",
    "mta/expand/trust.py",
    "mta/spool/header_file.py",
    "mta/transport/places.py",  # create_file, which bounds where a stranger's path may lead
    "mta/transport/parcel.py",  # gives back the marks that deliver wrote into the parcel
)
FORKERS = ("mta/unix/process.py",)
# That a lock file has gone, or a lock of another program, is announced to nobody.
SLEEPERS = ("mta/base/clock.py", "mta/transport/locking.py", "mta/cli/")
# The master and the checker speak to whoever started them before there is a log.
PRINTERS = ("mta/cli/", "mta/proc/master.py", "mta/proc/checker.py")
CATCH_ALL = ("mta/unix/process.py",)
FORBIDDEN_MODULES = {
    "asyncio",
    "concurrent",
    "multiprocessing",
    "threading",
    "_thread",
    "pickle",
    "marshal",
    "shelve",
    "optparse",
}


def allowed(module: Module, places: tuple[str, ...]) -> bool:
    return any(
        module.path == place or (place[-1] == "/" and module.path.startswith(place))
        for place in places
    )


def outside(places: tuple[str, ...]) -> Iterator[Module]:
    return (module for module in modules() if not allowed(module, places))


@pytest.mark.parametrize("package", sorted(FENCES))
def test_a_third_party_stays_behind_its_fence(package: str) -> None:
    wrong = [
        f"{module.path}:{each.line}"
        for module in outside(FENCES[package])
        for each in imports(module)
        if each.top == package
    ]
    assert wrong == []


def test_every_third_party_has_a_fence() -> None:
    known = set(sys.stdlib_module_names) | set(FENCES) | {"mta", "__future__"}
    wrong = [
        f"{module.path}:{each.line}: {each.target}"
        for module in modules()
        for each in imports(module)
        if each.top not in known
    ]
    assert wrong == []


def test_there_are_no_threads_event_loops_or_pickles() -> None:
    wrong = [
        f"{module.path}:{each.line}: {each.target}"
        for module in modules()
        for each in imports(module)
        if each.top in FORBIDDEN_MODULES
        # The one place that forks may look whether it is alone.
        and not (each.top == "threading" and allowed(module, FORKERS))
    ]
    assert wrong == []


def test_only_the_listed_modules_make_trusted_text() -> None:
    wrong = [
        f"{module.path}:{call.lineno}"
        for module in outside(TRUSTED_MAKERS)
        for name, call in calls(module)
        if name.rpartition(".")[2] in ("Trusted", "trusted")
        # The expansions' own door to it, for texts the program itself made.
        and not (name == "trusted" and module.package in ("expand", "match", "lookup"))
    ]
    assert wrong == []


def test_trust_is_never_granted_by_a_subclass() -> None:
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any(isinstance(base, ast.Name) and base.id == "Trusted" for base in node.bases)
    ]
    assert wrong == []


def test_only_run_child_forks() -> None:
    forks = [
        (module, call)
        for module in modules()
        for name, call in calls(module)
        if name in ("os.fork", "os.forkpty", "pty.fork", "fork")
    ]
    assert [f"{m.path}:{call.lineno}" for m, call in forks if not allowed(m, FORKERS)] == []
    assert len(forks) == 1


def test_only_commands_print() -> None:
    wrong = [
        f"{module.path}:{call.lineno}"
        for module in outside(PRINTERS)
        for name, call in calls(module)
        if name in ("print", "input", "breakpoint")
    ]
    assert wrong == []


def test_only_the_clock_and_commands_sleep() -> None:
    wrong = [
        f"{module.path}:{call.lineno}"
        for module in outside(SLEEPERS)
        for name, call in calls(module)
        if name.rpartition(".")[2] == "sleep"
    ]
    assert wrong == []


def test_no_text_is_run_as_python() -> None:
    wrong = [
        f"{module.path}:{call.lineno}: {name}"
        for module in modules()
        for name, call in calls(module)
        if name in ("eval", "exec", "os.system", "os.popen")
    ]
    assert wrong == []


def test_errors_of_unknown_kind_are_caught_in_one_place() -> None:
    wrong = []
    for module in outside(CATCH_ALL):
        for node in ast.walk(module.tree):
            if isinstance(node, ast.ExceptHandler) and catches_all(node):
                wrong.append(f"{module.path}:{node.lineno}")
    assert wrong == []


def catches_all(handler: ast.ExceptHandler) -> bool:
    """`except:` and `except Exception`; cleaning up and raising again is another matter."""
    raises = any(isinstance(node, ast.Raise) and node.exc is None for node in handler.body)
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {kind.id for kind in kinds if isinstance(kind, ast.Name)}
    broad = handler.type is None or bool(names & {"Exception", "BaseException"})
    return broad and not raises


def test_modules_keep_no_global_state() -> None:
    wrong = [
        f"{module.path}:{node.lineno}"
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Global)
    ]
    assert wrong == []
