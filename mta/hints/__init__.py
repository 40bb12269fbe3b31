"""Hints: what is good to know and may be forgotten, in small databases beside the spool.

    store      one SQLite file: opened when first needed, made anew when it is damaged or gone
    retry      which destinations failed, since when, and when they may be tried again

Losing a hint costs an attempt too early or too late, never mail.  So nothing here is synced
to the disk, nothing waits long for a lock, and an error of the database is no error of a
delivery: reading then finds nothing, and writing does nothing.

The files are SPOOL/db/NAME.sqlite: Exim's, which stand there without that ending, are no
business of ours and stay as they are.

A connection is opened by the process that uses it, after its fork, and is never shared.
Values only ever reach SQL as bound parameters.
"""
