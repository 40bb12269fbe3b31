"""Lists: does a domain, a host, an address, a local part match one of the items?

    lists      compiled lists: items in order, negation, named lists, files, what they leave
    strings    items of domain and local part lists: text, *suffix, ^regex, look-ups
    domain     match_domain            host       match_host
    address    match_address           localpart  match_local_part

The first item that matches decides; a list of which no item matches says yes if its last item
was negated.  What matched is always the administrator's own text, the item or what his table
says, and so it is Trusted: this is how text from strangers becomes usable.

A list without variables is compiled once and kept with its template; others are compiled when
their text is new.  Raises TempFail when a table cannot be asked now.
"""
