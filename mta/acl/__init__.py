"""Access control lists: what is taken, from whom, for whom.

An ACL is a list of statements, each a verb with conditions and modifiers, read when the
configuration is and run at a point of a session (`Phase`).  The first statement that decides
ends it; at the end stands an implicit deny.

    phase         where in a session an ACL can run
    registry      how conditions, modifiers and controls are declared
    program       statements as data
    parser        lines → statements; everything that can be wrong is found here
    situation     what an ACL looks at and what it may change
    engine        runs statements: verbs, messages, nested ACLs
    acls          the ACLs of a configuration, ready to run at each phase
    verifier      asks the routers whether an address can be delivered to
    conditions/, modifiers/, controls/    the words, one documented function each

A condition answers True or False or raises TempFail; the engine does negation, endpass, the
messages and the log.  A condition that cannot be evaluated is never taken for True: the
command is answered with a temporary error.
"""
