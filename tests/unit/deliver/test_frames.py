"""An outcome is the same on both sides of the channel."""

from __future__ import annotations

from dataclasses import fields

from mta.deliver.frames import pack, unpack
from mta.transport.api import Outcome, Result


def test_every_field_of_an_outcome_crosses() -> None:
    values: dict[str, object] = {
        each.name: {"str": f"a {each.name}", "int": 7, "bool": True}.get(str(each.type))
        for each in fields(Outcome)  # type: ignore[arg-type]  # it is one when it runs
    }
    sent = Outcome(**{**values, "result": Result.FAIL})  # type: ignore[arg-type]  # by name
    assert unpack(pack("ID", 0, sent)) == sent
