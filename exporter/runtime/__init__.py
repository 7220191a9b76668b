"""The process itself: thread pool, loop lag, limits and log formats.

For: what any asyncio service needs. Not for: anything about vaults.
"""
