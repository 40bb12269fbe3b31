"""What everything else stands on: errors, trust, text, names, time and the version."""
