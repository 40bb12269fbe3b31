"""Receiving: a message on its way into the spool, whoever brings it.

    service     what a process that receives has at hand
    intake      one message: header and body in, checks, the envelope, the commit, the log
    terms       what is particular about one message
    headers     loops, what ACLs add and remove
    fixup       what a message of a local program lacks: From:, Date:, Message-ID:, Sender:
    received    the Received: header line
    lines       the text of local programs: LF, CRLF, the dot
    sizes       message_size_limit
    protocols   the names for P=
    room        whether there is space in the spool
    frames      what sendmail and we say to each other
    local       the side of the submit socket that receives
    pickup      takes over what was left in the drop-box

All ways lead through `Intake`: SMTP, the submit socket, the drop-box.  The order is the same
for all: the message is durable, then it is logged, then the sender is told, and the queue
runner gets a hint, which may be lost.
"""
