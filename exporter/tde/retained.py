"""Key versions that SQL Servers still have, although they protect no database.

Old backups may need them.

No view shows which backups do: `msdb` has no thumbprint of a database under TDE.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from exporter.core.connector_secret import key_name_findings
from exporter.tde.findings import Findings
from exporter.tde.key_uris import KeyUris
from exporter.tde.model import Instance
from exporter.tde.pairing import credentials_of, pair, vault_of
from exporter.tde.plan import HandWritten, PlannedCredential, PlannedTarget, RetainedKey, planned_credential
from exporter.tde.registry import KeyVersion
from exporter.tde.usage import Usage, used_keys

_Unused = tuple[Instance, str, KeyVersion, PlannedCredential | None]  # the name of the key is second


def with_retained(
    targets: Sequence[PlannedTarget],
    instances: Iterable[Instance],
    uris: KeyUris,
    hand_written: HandWritten,
    findings: Findings,
) -> list[PlannedTarget]:
    """Return the targets, each with the old versions of its servers.

    What a target probes or a hand-written one retains is left out. A version that no target can retain is a note.
    """
    probed = {target.version for target in targets} | {one for target in hand_written.targets for one in target.retained}
    probed |= {KeyVersion(one.vault, one.key_name, one.key_version or "") for one in hand_written.targets}
    found: dict[str, dict[tuple[KeyVersion, str], RetainedKey]] = {}
    for instance, key, version, credential in (one for each in instances for one in _unused(each, uris)):
        if version in probed:
            continue
        server = instance.server_name
        target = _nearest(version, [one for one in targets if server in one.databases])
        own = None if target is None or target.version.vault == version.vault else credential
        if target is None or (own is None and target.version.vault != version.vault):
            findings.note(f"{version.uri} protects no database, and no target retains it: old backups may need it", server)
            continue
        group = (version, "" if own is None else own.name)
        _add(found.setdefault(target.name, {}), group, RetainedKey(version=version, credential=own, keys={server: (key,)}))
    return [
        replace(target, retained=tuple(one for _, one in sorted(found.get(target.name, {}).items(), key=lambda pair: pair[0])))
        for target in targets
    ]


def _unused(instance: Instance, uris: KeyUris) -> Iterator[_Unused]:
    """Yield the keys that protect no database.

    Each has its version and the credential of its login in that vault.
    """
    used = {key.thumbprint for key in used_keys(instance)}
    for key in instance.keys:
        version = uris.version_of(instance, key) if key.thumbprint not in used else None
        if version is None or key_name_findings(version.name):
            continue
        credential = None
        if credentials_of(instance, key):
            paired = pair(instance, key, version.vault).credential
            if vault_of(paired) == version.vault:
                credential = planned_credential(Usage(instance, key, version, paired, ()), (instance.server_name,))
        yield instance, key.name, version, credential


def _nearest(version: KeyVersion, targets: Sequence[PlannedTarget]) -> PlannedTarget | None:
    """Return the target of the same key, otherwise of the same vault, otherwise any."""

    def distance(target: PlannedTarget) -> tuple[bool, bool, str]:
        there = target.version
        return there.vault != version.vault, there.name.lower() != version.name.lower(), target.name

    return min(targets, key=distance, default=None)


def _add(found: dict[tuple[KeyVersion, str], RetainedKey], group: tuple[KeyVersion, str], one: RetainedKey) -> None:
    """Add a key to those of the same version.

    Replicas have the same one, and one server may have two.
    """
    known = found.get(group)
    if known is None:
        found[group] = one
        return
    ((server, names),) = one.keys.items()
    credential = one.credential
    if credential is not None and known.credential is not None:
        credential = replace(credential, servers=tuple(sorted({*credential.servers, *known.credential.servers})))
    found[group] = replace(known, credential=credential, keys={**known.keys, server: (*known.keys.get(server, ()), *names)})
