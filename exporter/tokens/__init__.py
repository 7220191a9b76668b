"""Token cache, reuse policy and secret cache. Must not send requests: they are passed in."""
