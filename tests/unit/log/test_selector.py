"""log_selector: the last word on a detail counts."""

from __future__ import annotations

import pytest

from mta.log.selector import selected


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("", False),
        ("+smtp_mailauth", True),
        ("+all", True),
        ("+all -smtp_mailauth", False),
        ("-all+smtp_mailauth", True),
        ("+smtp_mailauth -all", False),
        ("+other", False),
        ("smtp_mailauth", False),
    ],
)
def test_a_detail_is_shown_if_it_was_asked_for(text: str, answer: bool) -> None:
    assert selected(text, "smtp_mailauth") is answer
