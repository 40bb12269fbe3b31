"""Giving up privileges; what needs root is in tests/privilege."""

from __future__ import annotations

import os

import pytest

from mta.unix import privilege
from mta.unix.process import run_child


def test_root_is_nobody_to_become() -> None:
    with pytest.raises(PermissionError, match="uid or gid is 0"):
        privilege.become(privilege.Identity("root", 0, 0))


def test_group_root_is_no_group_to_be_in() -> None:
    with pytest.raises(PermissionError, match="uid or gid is 0"):
        privilege.become(privilege.Identity("user", 1000, 0))


def test_without_root_only_oneself_can_be_become() -> None:
    if os.geteuid() == 0:

        def unprivileged() -> int:
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            try:
                privilege.become(privilege.Identity("other", 65533, 65534))
            except PermissionError:
                return 7
            return 0

        pid = run_child(unprivileged)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        return
    with pytest.raises(PermissionError, match="not started by root"):
        privilege.become(privilege.Identity("other", os.geteuid() + 1, 65534))
