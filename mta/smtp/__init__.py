"""SMTP as a wire protocol: lines, replies, commands, and a client without policy."""
