"""Token cache, reuse policy and secret cache.

For: which probes share a token request.
Not for: the request itself (`clients.entra`), and the network of a request (the caller passes it).
"""
