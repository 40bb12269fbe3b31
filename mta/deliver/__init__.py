"""Delivering: one attempt at one message, from lock to journal, log, bounce and clean-up.

    message    the attempt: lock, read, route, deliver, fold, bounce, rewrite or remove
    batch      routed addresses → parcels
    workers    channels to the processes that run transports, asked for at the launcher
    outcome    what became of each address → journal first, log second
    retry      when to try again: rules and hints
    bounce     telling the sender
    frames     what is said between a delivery process, the launcher and the workers

Order, always: durable effect → journal → log.  A crash anywhere repeats only addresses that
are not in the journal.
"""
