"""Token cache, reuse policy and secret cache.

For: which probes share a token request.
Not for: sending requests: the caller passes a function for that.
"""
