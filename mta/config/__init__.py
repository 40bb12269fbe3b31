"""Reading the configuration: Exim's language of lines, macros, sections, options and blocks.

    line       a logical line and its place
    reader     physical lines → logical lines: includes, conditionals, macros, continuation
    sections   logical lines → settings of the main section, blocks of drivers, ACLs, rules
    option     how an option is declared, once, with its kind, default and documentation
    kinds      the kinds of values: boolean, integer, time, …
    main/      the options of the main section, by topic; `later` has those that are not built
    template   text that is expanded later, with the place it stands at
    model      all of one configuration, as plain values
    load       file → lines → Configuration, with what follows from the system filled in
    snapshot   the resolved lines in a sealed memory file, for every process of a generation
    show       a configuration printed as -bP does
    quick      where the spool is, for commands that need to know nothing else

The files are read once for each generation, by one process: `load.read` gives their lines
with includes, macros and conditionals resolved, `snapshot` carries these to all roles, and
`load.parse` makes the same Configuration of them everywhere.

What needs knowledge from packages to the right is only kept here: drivers become objects in
`route` and `transport`, ACLs in `acl`, templates are compiled by `expand`.  Everything that is
wrong raises ConfigError with file, line, reason and a suggestion.
"""
