"""How a verdict is put to the client: code, status, text."""

from __future__ import annotations

import pytest

from mta.acl.answer import Answer, acceptance, refusal
from mta.acl.program import Action, Verdict

TRY_LATER = "Temporary local problem - please try later"


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        (Verdict(Action.DENY), Answer(550, "5.7.1", "Administrative prohibition", "")),
        (Verdict(Action.DROP), Answer(550, "5.7.1", "Administrative prohibition", "")),
        (Verdict(Action.DEFER), Answer(451, "4.3.0", TRY_LATER, "")),
        (Verdict(Action.DENY, "no", "log"), Answer(550, "5.7.1", "no", "log")),
        (Verdict(Action.DENY, "no", "no", "5.1.1"), Answer(550, "5.1.1", "no", "no")),
        (Verdict(Action.DENY, "554 5.6.0 no"), Answer(554, "5.6.0", "no", "")),
        (Verdict(Action.DENY, "554 no"), Answer(554, "5.7.1", "no", "")),
        (Verdict(Action.DENY, "554 4.6.0 no"), Answer(554, "5.7.1", "no", "")),
        (Verdict(Action.DEFER, "421 later"), Answer(421, "4.7.1", "later", "")),
        (Verdict(Action.DENY, "5504 no"), Answer(550, "5.7.1", "5504 no", "")),
        (
            Verdict(Action.DENY, "450 wrong", "450 wrong"),
            Answer(550, "5.7.1", "wrong", "550 wrong", wrong_code=True),
        ),
    ],
)
def test_a_refusal_is_put(verdict: Verdict, answer: Answer) -> None:
    assert refusal(verdict) == answer


def test_an_acceptance_may_have_words_of_its_own() -> None:
    verdict = Verdict(Action.ACCEPT, "250 2.6.0 fine")
    assert acceptance(verdict, 250, "2.0.0", "OK") == Answer(250, "2.6.0", "fine", "")
    assert acceptance(Verdict(Action.ACCEPT), 250, "2.0.0", "OK").text == "OK"
