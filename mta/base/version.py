"""The version of this program, as it stands in the banner, in Received: and in the manual."""

from __future__ import annotations

VERSION = "0.1.0"
