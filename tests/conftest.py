"""What every group of tests shares: clean surroundings."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest


def pytest_configure() -> None:
    """Allow more descriptors than the usual thousand, which are few for a suite."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8192), most))


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test depends on the caller's locale or umask, nor leaves its own behind."""
    for name in ("LC_ALL", "LANGUAGE", "MTA_CONFIG", "MAILTO", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LANG", "C.UTF-8")
    umask = os.umask(0o022)
    yield
    os.umask(umask)
