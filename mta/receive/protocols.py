"""The names of the ways by which a message can come, for P= and Received:.

They are this program's own words, so they are trusted as what stands in the configuration is.
"""

from __future__ import annotations

from mta.base.trust import Trusted
from mta.config.option import DEFAULT
from mta.config.template import template

LOCAL: Trusted = template("local", DEFAULT).text
SMTP: Trusted = template("smtp", DEFAULT).text
ESMTP: Trusted = template("esmtp", DEFAULT).text
SMTPS: Trusted = template("smtps", DEFAULT).text
ESMTPS: Trusted = template("esmtps", DEFAULT).text
LOCAL_SMTP: Trusted = template("local-smtp", DEFAULT).text
LOCAL_ESMTP: Trusted = template("local-esmtp", DEFAULT).text
ESMTPA: Trusted = template("esmtpa", DEFAULT).text
ESMTPSA: Trusted = template("esmtpsa", DEFAULT).text
LOCAL_ESMTPA: Trusted = template("local-esmtpa", DEFAULT).text
# What each becomes when the client has authenticated.  RFC 3848
AUTHENTICATED: dict[str, Trusted] = {
    ESMTP: ESMTPA,
    ESMTPS: ESMTPSA,
    LOCAL_ESMTP: LOCAL_ESMTPA,
}
