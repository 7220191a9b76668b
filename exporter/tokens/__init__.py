"""Token cache, reuse policy and secret cache.

For: which probes share a token request. Not for: sending requests; a function for that is passed in.
"""
