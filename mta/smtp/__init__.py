"""SMTP as a wire protocol: lines, replies, commands and their parameters, and a client without policy."""
