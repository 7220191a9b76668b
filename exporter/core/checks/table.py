"""The table of preflight checks, in the order of the report.

Those of `sql` follow if SQL Servers were read.

Names are public: renaming one breaks users.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from exporter.core.checks.host import HOST
from exporter.core.checks.key import KEY
from exporter.core.checks.model import Check
from exporter.core.checks.network import NETWORK
from exporter.core.checks.sign_in import SIGN_IN
from exporter.core.checks.sql import SQL

CHECKS: tuple[Check, ...] = (*NETWORK, *SIGN_IN, *KEY, *HOST)
BY_NAME: Mapping[str, Check] = MappingProxyType({check.name: check for check in (*CHECKS, *SQL)})
