"""All files of a configuration to one checked `Config`, or to every problem in them.

For: includes, defaults, references, contradictions and warnings. Not for: the reading of one file.
"""

from exporter.config.loader.build_credentials import build_credential
from exporter.config.loader.build_modules import build_module
from exporter.config.loader.build_targets import RawTarget, retained_vault
from exporter.config.loader.includes import read_with_includes
from exporter.config.loader.load import Loaded, load_config

__all__ = ["Loaded", "RawTarget", "build_credential", "build_module", "load_config", "read_with_includes", "retained_vault"]
