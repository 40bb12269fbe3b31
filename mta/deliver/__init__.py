"""Delivering: one attempt at one message, from lock to journal, log, bounce and clean-up.

    message    the attempt: lock, read, route, deliver, fold, bounce, rewrite or remove
    context    the envelope → what expansions may speak of
    routing    recipients → items: routed, without duplicates and what is done
    item       one final address, and how the log shows it
    batch      routed addresses → parcels
    workers    channels to the processes that run transports, asked for at the launcher
    outcome    what became of each address → journal first, log second
    retry      when to try again: rules and hints
    letters    what people are told by mail, and when; bounce writes it
    codes      the numbers of failures
    frames     what is said between a delivery process, the launcher and the workers

Order, always: durable effect → journal → log.  A crash anywhere repeats only addresses that
are not in the journal.
"""
