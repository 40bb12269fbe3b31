"""Routing: from an address to what is to be done with it.

    api            Address, the verdicts of a router, the router base class and its options
    engine         preconditions in Exim's fixed order, the chain of routers, loops, results
    retry_rules    the rules of the retry section
    drivers/       one router driver each, found by file name

A router is a function from an address to a verdict: it does not log, queue, or deliver.
"""
