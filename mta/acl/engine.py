"""Running ACLs: statements in order, the verbs, the messages, nested ACLs.

What the manual says of messages and what this does: `message` and `log_message` count from
where they stand, the last one reached before the deciding condition wins; they are expanded
only when the statement decides; a log message that is not set is the message for the client.

A condition is True, False, or cannot be told now (TempFail); then accept, deny and the like
answer with a temporary error, warn is skipped.  What cannot be expanded is a temporary error
everywhere; what is forced to fail leaves its condition out.
"""

from __future__ import annotations

from mta.acl.acls import Acls
from mta.acl.headers import headers_of
from mta.acl.phase import Phase, describe
from mta.acl.program import (
    ACCEPTED,
    DENIED,
    Action,
    Program,
    Statement,
    Step,
    Verb,
    Verdict,
    Words,
)
from mta.acl.situation import AclError, Situation
from mta.base.errors import ExpansionFail, TempFail
from mta.config.template import Template
from mta.expand.run import expand
from mta.log import events

DEEPEST = 20
_ARGUMENTS = tuple(f"acl_arg{number}" for number in range(1, 10))


# What the steps of a statement come to.  Numbers, as this is the busiest loop of all: members
# of an Enum are slow to look up.
YES = 1
NO = 2
DROP = 4  # no, and a nested ACL said drop
DISCARD = 8  # yes, and a nested ACL said discard
LATER = 16

# When the messages of a statement are of use: to which answers, for each verb.
_DENYING = NO | DROP
_SPEAKS: dict[Verb, int] = {
    Verb.ACCEPT: YES | _DENYING,
    Verb.DISCARD: YES | _DENYING,
    Verb.REQUIRE: _DENYING,
    Verb.DEFER: YES,
    Verb.DENY: YES,
    Verb.DROP: YES,
    Verb.WARN: YES,
}
_DECISIONS = {
    Verb.ACCEPT: Action.ACCEPT,
    Verb.DISCARD: Action.DISCARD,
    Verb.DENY: Action.DENY,
    Verb.DEFER: Action.DEFER,
    Verb.DROP: Action.DROP,
}


_REFUSALS = {NO: Action.DENY, DROP: Action.DROP}


def check(acls: Acls, situation: Situation, phase: Phase) -> Verdict:
    """Run the ACL of a phase.  Without one RCPT is refused and everything else accepted."""
    situation.phase = phase
    entry = acls.entries.get(phase)
    if entry is None:
        return DENIED if phase is Phase.RCPT else ACCEPTED
    try:
        program = entry if isinstance(entry, Program) else _find(acls, situation, entry)
        return _run(acls, program, situation, 0)
    except AclError as error:
        return Verdict(Action.DEFER, log=str(error))
    except TempFail as error:
        return Verdict(Action.DEFER, log=error.text)
    except ExpansionFail as error:
        return Verdict(Action.DEFER, log=f"failed to expand ACL: {error.text}")


def _run(acls: Acls, program: Program, situation: Situation, depth: int) -> Verdict:
    for statement in program.statements:
        situation.said = situation.logged = situation.status = ""
        answer, words = _evaluate(acls, statement, situation, depth)
        if answer == NO and not words.strict:
            continue
        verb = statement.verb
        action = _action(verb, answer, words)
        if action is None and verb is not Verb.WARN:
            continue
        if answer & _SPEAKS[verb]:
            _speak(verb, answer, situation, words)
        if action is None:
            _warn(answer, situation)
            continue
        return _verdict(action, situation)
    situation.said = situation.logged = situation.status = ""
    return DENIED


def _verdict(action: Action, situation: Situation) -> Verdict:
    said, logged, status = situation.said, situation.logged, situation.status
    if action is Action.ACCEPT and not (said or logged or status):
        return ACCEPTED
    return Verdict(action, said, logged, status)


def _evaluate(
    acls: Acls, statement: Statement, situation: Situation, depth: int
) -> tuple[int, Words]:
    """Take the steps until one fails; the answer, and the words that hold there."""
    answer = YES
    phase = situation.phase._value_  # as a number, like `mask`: flags are slow to compare
    for step, words in statement.tasks:
        word = step.word
        if not phase & word.mask:
            at = describe(situation.phase)
            raise AclError(f"cannot {_use(step)} {word.name} in {at} ACL")
        try:
            if word.test is not None:
                if word.test(situation, step.argument) == step.negated:
                    return NO, words
            elif word.act is not None:
                word.act(situation, step.argument)
            elif word.name == "acl":
                answer = _nested(acls, statement, step, situation, depth, answer)
                if answer & (_DENYING | LATER):
                    return answer, words
            else:
                _set(step, situation)
        except ExpansionFail as error:
            if not error.forced:
                text = f'failed to expand ACL string "{step.argument.text}": {error.text}'
                raise AclError(text) from None
        except TempFail as error:
            situation.logged = situation.logged or error.text
            return LATER, words
    return answer, statement.words


def _use(step: Step) -> str:
    return "use" if step.word.is_modifier else "test"


def _set(step: Step, situation: Situation) -> None:
    """The modifier `set`, which is the engine's own."""
    value = expand(situation.ctx, step.argument)
    key = step.variable[5:]
    if step.variable[4] == "c":
        situation.ctx.connection.acl_c[key] = value
    else:
        situation.ctx.message.acl_m[key] = value


def _nested(
    acls: Acls,
    statement: Statement,
    step: Step,
    situation: Situation,
    depth: int,
    before: int,
) -> int:
    """The condition `acl = NAME ARGUMENTS`."""
    if depth >= DEEPEST:
        raise AclError("ACL nested too deep: possible loop")
    ctx = situation.ctx
    program = acls.called(expand(ctx, step.argument), step.argument.where)
    arguments = [expand(ctx, each) for each in step.arguments]
    before_call = ctx.values
    ctx.values = {
        **{name: value for name, value in before_call.items() if name not in _ARGUMENTS},
        **dict(zip(_ARGUMENTS, arguments, strict=False)),
        "acl_narg": str(len(arguments)),
    }
    try:
        verdict = _run(acls, program, situation, depth + 1)
    finally:
        ctx.values = before_call
    situation.said, situation.logged = verdict.message, verdict.log
    situation.status = verdict.status
    match verdict.action:
        case Action.DEFER:
            return LATER
        case Action.ACCEPT:
            return NO if step.negated else before
        case Action.DISCARD:
            if statement.verb not in (Verb.ACCEPT, Verb.DISCARD):
                raise AclError(
                    f'nested ACL returned "discard" for "{statement.verb.value}" command '
                    "(only allowed with accept or discard)"
                )
            return NO if step.negated else DISCARD
        case Action.DROP:
            return before if step.negated else DROP
    return before if step.negated else NO


def _speak(verb: Verb, answer: int, situation: Situation, words: Words) -> None:
    """Work out the words for the client and for the log."""
    said, logged = situation.said, situation.logged or situation.said
    if verb is Verb.WARN or (answer == YES and verb in (Verb.ACCEPT, Verb.DISCARD)):
        # What conditions said is of no interest when they held.
        situation.said = situation.logged = situation.status = ""
    if words.message is not None:
        text = _words(situation, words.message, said)
        situation.said = text or situation.said
    if words.log_message is not None:
        text = _words(situation, words.log_message, logged)
        if text:
            before = situation.logged
            situation.logged = f"{text}: {before}" if before else text
    situation.logged = situation.logged or situation.said


def _words(situation: Situation, template: Template, known: str) -> str:
    """Expand a message; `known` is in $acl_verify_message meanwhile."""
    situation.ctx.place.acl_verify_message = known
    try:
        return expand(situation.ctx, template)
    except ExpansionFail as error:
        if not error.forced:
            text = f'failed to expand ACL message "{template.text}": {error.text}'
            events.bug(situation.log, str(template.where), text)
        return ""


def _action(verb: Verb, answer: int, words: Words) -> Action | None:
    """What the verb makes of the answer; None to go on with the next statement."""
    if verb is Verb.WARN:
        return None
    if answer == YES:
        return _DECISIONS.get(verb)
    if answer & _DENYING:
        return _REFUSALS[answer] if words.strict else None
    return Action.DEFER if answer == LATER else Action.DISCARD


def _warn(answer: int, situation: Situation) -> None:
    """Log what a warn statement has to say, once for each message; `message` is a header."""
    if answer == LATER:
        text = 'ACL "warn" statement skipped: condition test deferred'
        detail = f": {situation.logged}" if situation.logged else ""
        _log_warning(situation, text + detail)
        return
    if answer != YES:
        return
    if situation.said and situation.phase & Phase.MESSAGE:
        situation.message.add_headers += headers_of([situation.said])
    # Without a log message of its own the header's text would be logged: Exim does not.
    if situation.logged and situation.logged != situation.said:
        _log_warning(situation, situation.logged)


def _log_warning(situation: Situation, text: str) -> None:
    if text in situation.message.warned:
        return
    situation.message.warned.add(text)
    events.acl_warning(situation.log, situation.who(), text, situation.ctx.message.message_id)


def _find(acls: Acls, situation: Situation, entry: Template) -> Program:
    return acls.called(expand(situation.ctx, entry), entry.where)
