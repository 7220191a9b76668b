"""What follows from a checked configuration.

For: the credentials and vaults in use, the requests and their cost, what a reload changes, the names for commands and for masking.
Not for: reading files.
"""
