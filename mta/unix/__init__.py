"""What we ask of the kernel: files, locks, identities, processes, frames and waiting.

Nothing in here knows of mail.  Everything that opens, waits, forks or changes identity in the
other packages does it through these modules, so that the rules are kept in one place: every
descriptor is closed on exec, every open of a name that somebody else may have made refuses
symbolic links, every wait has a deadline, and one function each forks and gives up privileges.
"""
