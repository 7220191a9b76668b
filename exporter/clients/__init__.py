"""Clients of Key Vault, Entra ID and Microsoft Graph.

For: exchanges as facts and values. Only this package imports aiohttp's client and the Azure SDK, except its client of Resource Graph
(`inventory.azure`). Their exceptions end here.
Not for: codes, scheduling, caching.
"""
