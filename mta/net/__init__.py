"""The network: connections with deadlines, and the addresses of this machine."""
