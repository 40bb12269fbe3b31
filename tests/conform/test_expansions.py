"""Every expansion of the table gives what Exim gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from mta.config.model import Configuration
from tests.conform.language import configuration, context, expanded, table


@pytest.fixture(scope="module")
def conf(tmp_path_factory: pytest.TempPathFactory) -> Configuration:
    return configuration(Path(tmp_path_factory.mktemp("conf")))


@pytest.mark.parametrize(("text", "result"), table("expansions.txt"))
def test_it_expands_as_in_exim(conf: Configuration, text: str, result: str) -> None:
    assert expanded(context(conf), text) == result
