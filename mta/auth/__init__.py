"""Authentication: who a client is, as a server asks it and as a client proves it.

    api        what an authenticator is, what its exchanges are made of and how they fail
    engine     the authenticators of a configuration
    drivers/   one mechanism each, found by file name
    later      what Exim has and we do not yet

What a client sends may be a password: it is in variables of the expansions that judge it, and
nowhere after that.  No error text and no log line here shows it.
"""
