"""Key Vault and Entra over the wire: the only importer of the Azure SDK and of aiohttp's client.

For: exchanges as facts and values. Exceptions end here.
Not for: codes, scheduling, sharing, remembering.
"""

from exporter.keyvault.client import VaultSession
from exporter.keyvault.entra import TokenAnswer, fetch_token, quiet_sdk_loggers
from exporter.keyvault.local import encrypt_locally
from exporter.keyvault.network import HANDSHAKES, Network, NetworkError, Networks
from exporter.keyvault.transport import USER_AGENT

__all__ = [
    "HANDSHAKES",
    "USER_AGENT",
    "Network",
    "NetworkError",
    "Networks",
    "TokenAnswer",
    "VaultSession",
    "encrypt_locally",
    "fetch_token",
    "quiet_sdk_loggers",
]
