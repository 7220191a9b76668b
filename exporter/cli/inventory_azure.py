"""The part of `inventory` that reads Azure: which vaults and keys no target covers."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from exporter.cli.main import FAILED, FINE, Refusal, refuse_if
from exporter.config.fields import TENANT_NAME
from exporter.config.settings import DEFAULT_MODULE
from exporter.config.tree import SIZE_LIMIT
from exporter.core.values import HOST_IDENTITIES
from exporter.inventory.azure import AzureRequest, read_azure, read_coverage
from exporter.inventory.azure_plan import (
    EMPTY,
    GUID,
    MARK,
    Azure,
    AzurePlan,
    Coverage,
    azure_report,
    cloud_from,
    plan_azure,
    proposals_file,
    proposals_text,
)
from exporter.inventory.folder import Declared, FileChange, SourceError, read_declared, write
from exporter.inventory.plan import PlannedTarget
from exporter.inventory.render import is_own
from exporter.inventory.vault_search import AMBIENT
from exporter.runtime.files import FileMissingError, FileUnreadableError, read_whole


def run_azure(args: argparse.Namespace, planned: Collection[PlannedTarget]) -> int:
    """Read Azure, print what no target covers, and propose targets. Raises SourceError and ExtraMissingError.

    `planned` are the targets of the SQL Servers that were read in the same run.
    """
    before = _own_text(args)
    files = [args.config_file] if args.config_file is not None else []
    if args.out is not None and args.out.is_dir():
        files += sorted(args.out.glob("*.yml"))
    found = read_coverage(files, [args.azure_out] if args.azure_out is not None else [])
    credentials = {target.version.vault: target.credential.name for target in planned}
    coverage = replace(
        found,
        keys=found.keys | {(target.version.vault, target.version.name.lower()) for target in planned},
        names=found.names | {target.name for target in planned},
        credentials={**credentials, **found.credentials},
        declared=found.declared | set(credentials.values()),
    )
    declared = read_declared(args.config_file)
    azure = asyncio.run(read_azure(declared, _request(args, declared, coverage)))
    plan = plan_azure(azure, coverage)
    for failure in azure.failures:
        print(failure, file=sys.stderr)
    print(azure_report(azure, plan), end="")
    if not azure.vaults:
        if not azure.failures:
            print(EMPTY, file=sys.stderr)
        return FAILED
    _propose(args, plan, before, azure)
    return FAILED if azure.failures else FINE


def _request(args: argparse.Namespace, declared: Declared, coverage: Coverage) -> AzureRequest:
    """Return where to look, and the identity. Raises Refusal."""
    name, tenant = args.azure_credential, args.azure_tenant
    credential = AMBIENT if name is None else declared.credentials.get(name)
    if credential is None:
        raise Refusal(f"--azure.credential: --config.file declares no credential {name}")
    is_tenant = tenant is None or TENANT_NAME.fullmatch(tenant)
    is_of_host, has_tenant = credential.kind in HOST_IDENTITIES, tenant is not None or credential.tenant_id is not None
    own_tenant = "--azure.tenant: this identity has its own tenant: use az login --tenant, or --azure.credential"
    are_guids = all(GUID.fullmatch(one) for one in args.azure_subscription)
    cloud = args.azure_cloud or cloud_from(declared.modules[DEFAULT_MODULE].authority_host, coverage.vaults)
    refuse_if(
        (not is_tenant, "--azure.tenant: expected its GUID or one of its domain names"),
        (tenant is not None and is_of_host, own_tenant),
        (
            not (has_tenant or is_of_host),
            f"--azure.credential: credential {name} has no tenant_id: add --azure.tenant",
        ),
        (not are_guids, "--azure.subscription: expected its GUID: az account list --query '[].id'"),
    )
    if cloud is None:
        raise Refusal("the targets are in several clouds: name one with --azure.cloud")
    return AzureRequest(cloud=cloud, credential=credential, tenant=args.azure_tenant, subscriptions=args.azure_subscription)


def _own_text(args: argparse.Namespace) -> str | None:
    """Return the proposals of an earlier run, None without any. Raises SourceError for another file."""
    path: Path | None = args.azure_out
    if path is None:
        return None
    if args.out is not None and args.out.resolve() in path.resolve().parents:
        raise SourceError(f"--azure.out: {path}: choose a file outside of {args.out}: a proposal is not a target yet")
    try:
        text = read_whole(path, limit=SIZE_LIMIT).decode("utf-8", "replace")
    except FileMissingError:
        return None
    except FileUnreadableError as error:
        raise SourceError(f"--azure.out: {path}: {error}") from None
    if not is_own(text, MARK):
        raise SourceError(f"--azure.out: {path}: it was edited or is another file: rename it, or choose another name")
    return text


def _propose(args: argparse.Namespace, plan: AzurePlan, before: str | None, azure: Azure) -> None:
    """Print the proposals, or write them and print the differences.

    After a failure they are not complete, so those of an earlier run stay.
    """
    if args.azure_out is None:
        if plan.proposals:
            print(f"\nProposed targets:\n{proposals_text(plan, args.secrets)}", end="")
        return
    if azure.failures and before is not None:
        print(f"{args.azure_out}: not changed, because something was not read")
        return
    after = proposals_file(plan, args.secrets) or None
    if before == after:
        return
    change = FileChange(args.azure_out, before, after)
    print(change.diff(), end="")
    if not args.dry_run:
        change.path.unlink() if after is None else write(change.path, after)
