"""Text, JSON and wording that command line and web share.

For: sentences, transcripts, payloads and the support bundle.
Not for: HTML, HTTP or decisions.
"""
