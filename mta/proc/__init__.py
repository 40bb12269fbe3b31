"""The processes: which there are, who runs them, what they say to each other.

    roles       the table of roles; the beginning that all of them share
    master      binds, starts and watches the roles; re-reads the configuration
    checker     reads and compiles a configuration once, for the master
    listener    owns the sockets and a pool of receivers
    receiver    holds one conversation at a time
    runner      knows what waits; schedules; hands messages to delivery processes
    deliverer   attempts one message at a time
    launcher    root: starts workers as other users, on request
    userside    a worker: runs a transport as the user it became
    pickup      takes messages out of the drop-box
    sweeper     removes what crashes left in the spool
    control     what commands may ask, and who may ask it
    alone       the same roles for one command, where no daemon runs

Every role goes through the same steps in the same order: inherit, drop, load, warm, announce,
loop, drain.  The spool is the only state; any process may die at any time.
"""
