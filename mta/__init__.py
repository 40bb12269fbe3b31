"""mta: a mail transfer agent that reads an Exim configuration and keeps Exim's spool and logs.

Packages form one total order; a package imports only packages to its left:

    base < unix < log < config < mail < spool < hints < net < smtp < lookup < expand < match
         < auth < route < transport < deliver < acl < receive < smtpd < proc < cli

Start reading at man/mta-internals.7, then mta/proc/roles.py.
"""
