"""An empty spool, and a message to put into it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.spool.layout import Spool, prepare


@pytest.fixture(params=[False, True], ids=["flat", "split"])
def spool(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Spool]:
    path = str(tmp_path / "spool")
    prepare(path, split=request.param)
    opened = Spool(path, split=request.param)
    yield opened
    opened.close()
