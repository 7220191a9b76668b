"""The flag of `inventory` that compares public keys with those of vaults."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from exporter.cli.parser import add_flag
from exporter.inventory.declarations import read_declared
from exporter.inventory.folder import FolderFacts
from exporter.inventory.sources import SourceError
from exporter.tde.findings import Findings
from exporter.tde.key_uris import KeyUris
from exporter.tde.model import Instance
from exporter.tde.plan import HandWritten
from exporter.tde.public_keys import Search, SearchResult, plan_searches

_SECONDS = 30.0  # for each request


def add_vault_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flag."""
    add_flag(
        parser,
        "--vault.credential CREDENTIAL",
        "find key versions without KeyUri by their public keys: a credential of --config.file, or without a name the one of a "
        "target for the vault; needs the permissions get and list",
        nargs="?",
        const="",
    )


def compare_with_vaults(
    args: argparse.Namespace, instances: Sequence[Instance], facts: FolderFacts, hand_written: HandWritten
) -> dict[str, tuple[Search, SearchResult]]:
    """Search the vaults with unknown key versions and keep in the facts what was found. Raises SourceError."""
    if args.vault_credential is None:
        return {}
    if args.config_file is None:
        raise SourceError("--vault.credential needs --config.file, which declares the credential")
    from exporter.inventory.vault_search import search_vaults  # noqa: PLC0415 - it imports the Azure SDK

    uris = KeyUris(instances, facts.loose, Findings(), facts.compared, facts.established)
    searches = plan_searches(instances, uris, hand_written.targets)
    results = search_vaults(searches, read_declared(args.config_file), args.vault_credential, _SECONDS)
    for result in results.values():
        facts.compared |= result.found
    return {vault: (searches[vault], result) for vault, result in results.items()}
