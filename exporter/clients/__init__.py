"""Clients of Key Vault, Entra ID and Microsoft Graph.

For: exchanges as facts and values. Only this package imports aiohttp's client and the Azure SDK, except its client of Resource Graph
(`inventory.azure`). Their exceptions end here.
Not for: codes, scheduling, caching.
"""

from exporter.clients.entra import fetch_token, quiet_sdk_loggers
from exporter.clients.http.exchange import USER_AGENT
from exporter.clients.http.network import HANDSHAKES, Network, NetworkError, Networks, make_network
from exporter.clients.key_vault import VaultSession
from exporter.clients.local_encrypt import encrypt_locally

__all__ = [
    "HANDSHAKES",
    "USER_AGENT",
    "Network",
    "NetworkError",
    "Networks",
    "VaultSession",
    "encrypt_locally",
    "fetch_token",
    "make_network",
    "quiet_sdk_loggers",
]
