"""The process itself: thread pool, loop lag, limits and log formats. Must not contain anything about vaults."""
