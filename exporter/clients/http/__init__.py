"""One HTTP exchange: timing, TLS, proxy and faults.

For: exchanges as facts. Exceptions of the SDK, aiohttp and OpenSSL end here.
Not for: the APIs of Key Vault, Entra ID and Graph.
"""
