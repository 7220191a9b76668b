"""Text, JSON and wording that command line and web share.

Must not contain HTML, HTTP or decisions.
"""
