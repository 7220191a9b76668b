"""When credentials end: asks certificate files, Microsoft Graph and Key Vault at a pace of its own and remembers what they said.

For: what `service` and the command line need of it.
Not for: the choice among several secrets (see `core.credential_expiry`), requests (see `clients`), showing dates.
"""

from exporter.expiry.lookup import ExpiryLookup
from exporter.expiry.monitor import ExpiryCallbacks, ExpiryMonitor
from exporter.expiry.sources import MonitoredCredential, monitored_credentials

__all__ = ["ExpiryCallbacks", "ExpiryLookup", "ExpiryMonitor", "MonitoredCredential", "monitored_credentials"]
