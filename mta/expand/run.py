"""Running expansions: a template in a context becomes text, or a number, or yes and no.

Raises ExpansionFail, forced or not, when the string cannot be expanded, and TempFail when
something that it asked for cannot be had now.
"""

from __future__ import annotations

from mta.base.errors import ExpansionFail, Where
from mta.base.text import is_number, lower
from mta.base.trust import Trusted, is_trusted
from mta.config.template import Template
from mta.expand.compile import Compiled, cached, compiled
from mta.expand.context import Context
from mta.expand.numbers import integer
from mta.expand.trust import RESULT_LIMIT, refusal


def expand(ctx: Context, template: Template) -> str:
    """The text that a template stands for here; Trusted if no stranger had a say in it."""
    program = template.program
    if not isinstance(program, Compiled):
        program = compiled(template)
    return program.constant if program.constant is not None else run(ctx, program)


def expand_text(ctx: Context, text: str, where: Where) -> str:
    """Expand text that came up at run time: a line of a list file, the data of a router.

    Only trusted text is expanded; ExpansionFail for all other.
    """
    if not is_trusted(text):
        if "$" not in text and "\\" not in text:
            return text
        raise ExpansionFail(refusal(text, "text to be expanded", where))
    return run(ctx, cached(ctx, text, where))


def run(ctx: Context, program: Compiled) -> str:
    """Run a program with fresh bounds and leave no trace of it in the context."""
    captures, ctx.steps = ctx.captures, 0
    try:
        result = program.run(ctx)
    finally:
        ctx.captures = captures
    if len(result) > RESULT_LIMIT:
        raise ExpansionFail(f"the result is longer than {RESULT_LIMIT} octets")
    return result


def expand_bool(ctx: Context, template: Template, *, strict: bool = False) -> bool:
    """Yes or no.  With `strict` what is neither is an error, else it means yes."""
    return truth(expand(ctx, template), strict=strict)


def truth(text: str, *, strict: bool) -> bool:
    """What a text means as a condition: a number, true, yes, false, no; nothing is no."""
    word = lower(text)
    if word in ("", "no", "false"):
        return False
    if word in ("yes", "true"):
        return True
    if is_number(word):
        return word.strip("0") != "" if strict else word != "0"
    if strict:
        raise ExpansionFail(f'invalid "condition" value "{text}"')
    return True


def expand_int(ctx: Context, template: Template) -> int:
    """A number, with K, M or G behind it."""
    return integer(expand(ctx, template))


def expand_trusted(ctx: Context, template: Template) -> Trusted | None:
    """The text if no stranger had a say in it, else None."""
    text = expand(ctx, template)
    return text if isinstance(text, Trusted) and is_trusted(text) else None
