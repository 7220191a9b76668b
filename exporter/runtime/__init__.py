"""The process itself: thread pool, periodic runs, loop lag, limits, small files, log formats.

For: what any asyncio service needs. Not for: anything about vaults.
"""
