"""Transports: taking a message to a mailbox or to another host.

    api        Parcel and Outcome, the transport base class and its options
    parcel     a Parcel as records in a sealed memory file, for the process that delivers
    headers    what is added and removed at delivery: Return-path:, Envelope-to:, …
    writing    the message as a stream, with the dots and line ends that its target wants
    framing    the message as programs want it: lines escaped, or as batch SMTP
    command    command lines of options: split first, then expanded; what may be run
    filter     the command that a message goes through on its way
    shape      what stands around and within a message in a file
    mbox       a mailbox in one file; locking has its locks
    maildir    a Maildir; maildirsize keeps its size
    newfile    a file for each message without more
    quota      limits of mailboxes; places says where files may be made
    drivers/   one transport driver each, found by file name

A transport runs in a process of its own that has already become the right user: the recipient
for local ones, the network user for remote ones.  It gets a Parcel and returns an Outcome for
each recipient; it does not log, and it knows nothing of the queue.
"""
