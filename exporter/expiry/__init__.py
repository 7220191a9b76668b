"""When credentials end: asks certificate files, Microsoft Graph and Key Vault at a pace of its own and remembers what they said.

For: what `service` and the command line need of it.
Not for: the choice among several secrets (see `core.credential_expiry`), requests (see `clients`), showing dates.
"""

from exporter.expiry.lookup import Asker
from exporter.expiry.monitor import ExpiryDesk, Ports
from exporter.expiry.sources import Watched, watched

__all__ = ["Asker", "ExpiryDesk", "Ports", "Watched", "watched"]
