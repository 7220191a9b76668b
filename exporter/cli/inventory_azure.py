"""The part of `inventory` that reads Azure: which vaults and keys no target covers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Collection

from exporter.cli.main import FAILED, FINE
from exporter.config.fields import TENANT_NAME
from exporter.config.settings import DEFAULT_MODULE, Credential
from exporter.core.values import HOST_IDENTITIES
from exporter.inventory.azure import AzureRequest, read_azure, read_covered
from exporter.inventory.azure_plan import EMPTY, GUID, azure_report, cloud_from, plan_azure
from exporter.inventory.folder import Declared, SourceError, read_declared
from exporter.inventory.plan import PlannedTarget
from exporter.inventory.vault_search import AMBIENT
from exporter.runtime.process import ExtraMissingError


def run_azure(args: argparse.Namespace, planned: Collection[PlannedTarget]) -> int:
    """Read Azure and print what no target covers. Raises SourceError.

    `planned` are the targets of the SQL Servers that were read in the same run.
    """
    covered = _covered(args, planned)
    declared = read_declared(args.config_file)
    try:
        azure = asyncio.run(read_azure(declared, _request(args, declared, covered)))
    except ExtraMissingError as error:
        raise SourceError(str(error)) from None
    for failure in azure.failures:
        print(failure, file=sys.stderr)
    print(azure_report(azure, plan_azure(azure, covered)), end="")
    if not azure.vaults:
        if not azure.failures:
            print(EMPTY, file=sys.stderr)
        return FAILED
    return FAILED if azure.failures else FINE


def _covered(args: argparse.Namespace, planned: Collection[PlannedTarget]) -> set[tuple[str, str]]:
    files = [args.config_file] if args.config_file is not None else []
    if args.out is not None and args.out.is_dir():
        files += sorted(args.out.glob("*.yml"))
    return read_covered(files) | {(target.version.vault, target.version.name.lower()) for target in planned}


def _request(args: argparse.Namespace, declared: Declared, covered: Collection[tuple[str, str]]) -> AzureRequest:
    """Return where to look, and the identity. Raises SourceError."""
    credential = _credential(args, declared)
    wrong = [one for one in args.azure_subscription if not GUID.fullmatch(one)]
    if wrong:
        raise SourceError("--azure.subscription: expected its GUID: az account list --query '[].id'")
    cloud = args.azure_cloud or cloud_from(declared.modules[DEFAULT_MODULE].authority_host, {vault for vault, _ in covered})
    if cloud is None:
        raise SourceError("the targets are in several clouds: name one with --azure.cloud")
    return AzureRequest(cloud=cloud, credential=credential, tenant=args.azure_tenant, subscriptions=args.azure_subscription)


def _credential(args: argparse.Namespace, declared: Declared) -> Credential:
    name, tenant = args.azure_credential, args.azure_tenant
    credential = AMBIENT if name is None else declared.credentials.get(name)
    if credential is None:
        raise SourceError(f"--azure.credential: --config.file declares no credential {name}")
    if tenant is not None and not TENANT_NAME.fullmatch(tenant):
        raise SourceError("--azure.tenant: expected its GUID or one of its domain names")
    if tenant is not None and credential.kind in HOST_IDENTITIES:
        raise SourceError("--azure.tenant: this identity has its own tenant: use az login --tenant, or --azure.credential")
    if tenant is None and credential.tenant_id is None and credential.kind not in HOST_IDENTITIES:
        raise SourceError(f"--azure.credential: credential {name} has no tenant_id: add --azure.tenant")
    return credential
