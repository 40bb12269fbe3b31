"""The spool: the only place where mail is kept.

A message is a few files named by its id, in SPOOL/input or, with split_spool_directory, in
SPOOL/input/C where C is the sixth character of the id.  Both layouts are read always, and the
files are Exim 4.98's in every octet, so that Exim can take over a queue of ours and we one of
Exim's:

    ID-D   the line "ID-D", then the body as received; written once, never changed
    ID-H   who sent it, who must still get it, its headers; replaced by rename
    ID-J   addresses done in the delivery under way; folded into -H at its end
    hdr.X  a -H that is being written; means nothing

and SPOOL/msglog[/C]/ID, the message's own log.  Beside these SPOOL/drop takes what sendmail
leaves when no daemon runs (see `dropbox` and `drops`), and SPOOL/corrupt keeps what could not
be read.

States, where + is "exists", - is "does not", ? is "may or may not":

    S0   -D -H -J   no message
    S1   +D -H -J   being received; swept once it is a day old and unlocked
    S2   +D +H -J   accepted, ours to deliver or to bounce
    S3   +D +H +J   a delivery is running, or died; the next one reads -J first
    S4   ?D -H ?J   finished, about to be removed; swept like S1

S1 -> S2 is the moment of acceptance, one rename(2) made durable: see `writer`.
S3 -> S4 is the moment of completion, one unlink(2): see `reader`.

Whoever holds the lock on ID-D owns the message; everybody else may only look.  The lock is a
write lock on the octets of its first line, as an open-file-description lock, which conflicts
with the one that Exim takes and stays as long as any process holds the descriptor.  A lock on
a file that has lost its name is no lock: the name is looked up again after locking.  No file
here is ever rewritten in place; -J is only appended to.

Two users write here.  `mta` owns the directories; `mtanet`, which talks to strangers, may
create files in input/ but, as it is sticky, neither remove nor rename what others made.  So a
-H is hostile text to its reader, a -D must be a regular file with one name and a known owner,
and a -D made by mtanet is writable for the group because a lock needs a writable descriptor.

Runs as:  mta and mtanet, in every process that handles messages; the drop-box side as anyone.
Raises:   TempFail (4.3.1) when the disk is full or fails, SpoolError for files that cannot be
          what we or Exim wrote.
Tests:    tests/unit/spool, tests/fault
"""
