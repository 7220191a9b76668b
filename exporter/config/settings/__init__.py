"""The settings as dataclasses: one attribute with type, default and documentation each.

For: the values of a checked configuration, and what derives from these attributes: the tables of keys (`schema`), the effective
configuration (`dump`). Other packages import the values from here.
Not for: rules about two settings.
"""

from exporter.config.settings.credential import Credential
from exporter.config.settings.dump import dump_yaml, effective_module, effective_pieces
from exporter.config.settings.maintenance import MaintenanceWindow
from exporter.config.settings.model import Config, Settings
from exporter.config.settings.module import DEFAULT_MODULE, ExpectPath, Module, Proxy
from exporter.config.settings.schema import schema_text
from exporter.config.settings.secret_source import SecretSource, SecretUnreadableError, read_secret
from exporter.config.settings.sql_server import SqlServer
from exporter.config.settings.target import Retained, Target

__all__ = [
    "DEFAULT_MODULE",
    "Config",
    "Credential",
    "ExpectPath",
    "MaintenanceWindow",
    "Module",
    "Proxy",
    "Retained",
    "SecretSource",
    "SecretUnreadableError",
    "Settings",
    "SqlServer",
    "Target",
    "dump_yaml",
    "effective_module",
    "effective_pieces",
    "read_secret",
    "schema_text",
]
