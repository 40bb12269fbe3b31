"""The SMTP server: one conversation, from the banner to the end.

    session      the conversation: what is known, what is counted, how it ends
    dispatch     a command line → the function that answers it
    commands     the commands, one documented function each
    extensions   what EHLO offers, one documented function each
    data         the message: from dots and CRLF to internal form
    record       the log lines of a conversation

A command's function returns its reply or raises Reject; TempFail becomes 451 and PermFail 550
in one place.  Anything else is a bug: the client gets 421, and the process ends.
"""
