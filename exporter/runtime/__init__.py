"""The process itself: thread pool, periodic runs, loop lag, limits, log formats.

For: what any asyncio service needs. Not for: anything about vaults.
"""
