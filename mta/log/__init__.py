"""The logs, line for line as Exim writes them, since people and programs read them so.

    events     one function for each kind of line; nobody formats lines elsewhere
    sink       where lines go: descriptors opened for appending, one write for each line

Lines of many processes never mix, and nobody can forge one from afar: control characters are
escaped.  The order is always durable write, then log, then reply.
"""
