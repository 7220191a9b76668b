"""Credential expiry: lookups and their results.

For: the service and the command line.
Not for: choosing among several secrets (see `core.credential_expiry`), or showing dates.
"""

from exporter.expiry.lookup import ExpiryLookup
from exporter.expiry.monitor import ExpiryCallbacks, ExpiryMonitor
from exporter.expiry.sources import MonitoredCredential, monitored_credentials

__all__ = ["ExpiryCallbacks", "ExpiryLookup", "ExpiryMonitor", "MonitoredCredential", "monitored_credentials"]
