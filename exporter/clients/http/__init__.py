"""One HTTP exchange: timing, TLS, proxy, faults. Exceptions of the SDK, aiohttp and OpenSSL end here."""
