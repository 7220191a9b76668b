"""The effects of faults on responses, vaults and applications.

The rows of `fault_table` name these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from exporter.simulator.faults import Options
from exporter.simulator.model import Application, ClientSecret, Key, SimulatedKeyVersion, Vault
from exporter.simulator.response import Delivery, SimulatedResponse

_DAY = 86400.0  # seconds

Edit = Callable[[SimulatedResponse, Options], SimulatedResponse]


def set_member(name: str, value: object) -> Edit:
    """Set a member of the response's document.

    The prefix `key.` names a member of the key.
    """

    def edit(response: SimulatedResponse, _options: Options) -> SimulatedResponse:
        document = response.document()
        _holder(document, name)[name.removeprefix("key.")] = value
        return response.with_document(document)

    return edit


def remove_member(name: str) -> Edit:
    """Remove a member of the response's document."""

    def edit(response: SimulatedResponse, _options: Options) -> SimulatedResponse:
        document = response.document()
        _holder(document, name).pop(name.removeprefix("key."), None)
        return response.with_document(document)

    return edit


def _holder(document: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the object that has the member: the key, or the document."""
    holder: dict[str, Any] = document.get("key", {}) if name.startswith("key.") else document
    return holder


def append_members(members: bytes) -> Edit:
    """Append raw members to the document.

    They may be invalid JSON, or repeat a member that is already there.
    """
    return lambda response, _: response.with_body(response.body.removesuffix(b"}") + b"," + members + b"}")


def set_body(text: str, *, status: int | None = None, content_type: str = "application/json; charset=utf-8") -> Edit:
    """Replace the body, and the status if one is given."""
    return lambda response, _: response.with_body(text.encode(), status=status, content_type=content_type)


def rewrite_challenge(change: Callable[[str], str | None]) -> Edit:
    """Change the challenge, or remove it."""
    return lambda response, _: response.with_header("WWW-Authenticate", change(response.challenge))


def refuse(make: Callable[[str], SimulatedResponse], name: str) -> Edit:
    """Replace the response by an error, and keep the service's own headers."""

    def edit(response: SimulatedResponse, options: Options) -> SimulatedResponse:
        refusal = make(name)
        changed = replace(response, status=refusal.status, body=refusal.body, headers={**response.headers, **refusal.headers})
        return changed if options.retry_after is None else changed.with_header("Retry-After", str(options.retry_after))

    return edit


def set_delivery(delivery: Delivery) -> Edit:
    """Change how the response is sent."""
    return lambda response, _: replace(response, delivery=delivery)


def set_status(response: SimulatedResponse, options: Options) -> SimulatedResponse:
    """Replace status and body by those of the options."""
    changed = response.with_body(options.body.encode(), status=options.status)
    return changed if options.retry_after is None else changed.with_header("Retry-After", str(options.retry_after))


Change = Callable[[Vault, Options], Vault]


def change_vault(**changes: Any) -> Change:
    """Set fields of the vault."""
    return lambda vault, _: replace(vault, **changes)


def change_keys(change: Callable[[Key], Key]) -> Change:
    """Change each key that the options select."""
    return lambda vault, options: vault.with_keys(change, options.key, options.version)


def change_versions(**changes: object) -> Change:
    """Set fields of each key version that the options select."""
    return lambda vault, options: vault.with_versions(options.key, options.version, **changes)


def delete_keys(vault: Vault, options: Options) -> Vault:
    """Delete the selected keys; they can be recovered."""
    return vault.with_keys(lambda key: replace(key, deleted=options.since), options.key, options.version)


def purge_keys(vault: Vault, options: Options) -> Vault:
    """Delete the selected keys for good."""
    remaining = change_keys(lambda key: replace(key, versions=()))(vault, options).keys
    return replace(vault, keys={name: key for name, key in remaining.items() if key.versions})


def rotate_key(key: Key) -> Key:
    """Add a newer version with new key material."""
    last = key.versions[-1]
    version = "f" * 31 + str(len(key.versions) % 10)
    newest = replace(last, version=version, material=last.material + 1, created=last.created + _DAY)
    return replace(key, versions=(*key.versions, newest))


def remove_operation(vault: Vault, options: Options) -> Vault:
    """Remove the options' operation from `key_ops`."""
    remaining = tuple(name for name in SimulatedKeyVersion(version="").key_ops if name != options.operation)
    return vault.with_versions(options.key, options.version, key_ops=remaining)


def change_application(**changes: Any) -> Callable[[Application, Options], Application]:
    """Set fields of the application."""
    return lambda application, _: replace(application, **changes)


def change_secrets(change: Callable[[ClientSecret], ClientSecret]) -> Callable[[Application, Options], Application]:
    """Change each secret of an application."""
    return lambda application, _: replace(application, secrets=tuple(change(secret) for secret in application.secrets))
