"""The transport drivers, each in the file that its name says."""
