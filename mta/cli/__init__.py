"""The commands: what administrators and programs start."""
