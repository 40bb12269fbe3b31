"""Expanding strings: text with $variables and ${items} becomes text.

A string is parsed and compiled once, when the configuration is read; what runs later is a
closure.  Data is never parsed again: what a stranger wrote can only come out, not be executed.

    parser     text → nodes
    compile    nodes → a program (closures), kept in the Template
    run        expand(context, template) → text, trusted if and only if all its inputs were
    context    what a string may speak of: connection, message, address, ACL variables
    registry   @item @operator @condition @variable: how each is declared

Raises ExpansionFail; `forced` is given meaning by whoever asked for the expansion.
"""
