"""Requests to Key Vault, Entra ID, Microsoft Graph, Prometheus and other exporters, and what their answers say.

Holds no assessment, sharing or schedule. No exception of the Azure SDK, aiohttp or OpenSSL leaves it. `http/` first, then `key_vault` and
`entra`; `answers` parses bodies and is pure; `certificates` reads the files to sign in with.
"""
