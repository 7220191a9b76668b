"""ekm-exporter makes SQL Server's Key Vault round trip before SQL Server has to."""

__version__ = "0.1.0"
