"""Reading the configuration: Exim's language of lines, macros, sections, options and blocks.

    reader     physical lines → logical lines: includes, conditionals, macros, continuation
    sections   logical lines → settings of the main section, blocks of drivers, ACLs, rules
    option     how an option is declared, once, with its kind, default and documentation
    kinds      the kinds of values: boolean, integer, time, …
    main/      the options of the main section, by topic
    template   text that is expanded later, with the place it stands at
    snapshot   the resolved lines in a sealed memory file, for every process of a generation

What needs knowledge from packages to the right is only kept here: drivers become objects in
`route` and `transport`, ACLs in `acl`, templates are compiled by `expand`.  Everything that is
wrong raises ConfigError with file, line, reason and a suggestion.
"""
