"""Messages as text: addresses, header lines, dates and the reports we write ourselves.

Everything here is a pure function on octets or text; nothing opens a file, asks a name server
or knows a configuration.  What comes in was written by strangers: each parser is linear in the
size of its input, bounded, and either answers or raises one of the errors it names.

    address   RFC 5321 paths, RFC 5322 address lists, quoting of local parts
    header    header lines: kind, name, body; a block cut into lines
    date      times as they stand in headers and in the log
    dsn       the report that a message could not be delivered (RFC 3464)
    xtext     what clients may ask to be told of (RFC 3461)
"""
