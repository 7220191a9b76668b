"""The flags of `inventory` that read Azure."""

from __future__ import annotations

import argparse

from exporter.cli.parser import add_flag
from exporter.core.endpoints import MANAGEMENT_HOSTS
from exporter.runtime.extras import install_command


def add_azure_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that read Azure."""
    azure = parser.add_argument_group(
        "Azure", f"reports the vaults and keys that no target covers; needs {install_command('azure')}"
    )
    add_flag(azure, "--azure", "list vaults and Managed HSMs with Azure Resource Graph, and their keys", action="store_true")
    add_flag(
        azure,
        "--azure.subscription ID",
        "only these subscriptions (default: all that the identity may read)",
        dest="azure_subscriptions",
        nargs="+",
        default=[],
    )
    add_flag(azure, "--azure.tenant TENANT", "the tenant of a credential without tenant_id")
    add_flag(
        azure,
        "--azure.credential NAME",
        "a credential of --config.file (default: azure-identity's default chain, such as az login)",
    )
    add_flag(
        azure, "--azure.cloud", "default: the cloud of the configuration's vaults, else public", choices=tuple(MANAGEMENT_HOSTS)
    )
    add_flag(azure, "--azure.out FILE", "write the proposed targets there instead of printing them")
