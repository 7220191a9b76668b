"""ekm-exporter: does SQL Server's Key Vault round trip before SQL Server has to, and says what it would have said."""

__version__ = "0.1.0"
