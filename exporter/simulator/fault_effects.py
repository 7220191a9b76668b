"""What faults do: to an answer before it goes out, to a vault, to an application.

For: the functions that the rows of the fault table name.
Not for: the rows (see `fault_table`), nor when a fault works (see `faults`, `state`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from exporter.simulator.faults import Options
from exporter.simulator.model import Application, ClientSecret, Key, KeyVersion, Vault
from exporter.simulator.response import Delivery, SimulatedResponse

Edit = Callable[[SimulatedResponse, Options], SimulatedResponse]


def put(name: str, value: object) -> Edit:
    """Sets a member of the answer's document; `key.` before the name reaches into the key."""

    def edit(answer: SimulatedResponse, _options: Options) -> SimulatedResponse:
        document = answer.document()
        _holder(document, name)[name.removeprefix("key.")] = value
        return answer.with_document(document)

    return edit


def drop(name: str) -> Edit:
    """Takes that member out."""

    def edit(answer: SimulatedResponse, _options: Options) -> SimulatedResponse:
        document = answer.document()
        _holder(document, name).pop(name.removeprefix("key."), None)
        return answer.with_document(document)

    return edit


def _holder(document: dict[str, Any], name: str) -> dict[str, Any]:
    holder: dict[str, Any] = document.get("key", {}) if name.startswith("key.") else document
    return holder


def append(members: bytes) -> Edit:
    """Adds members as they are, which may be none that a JSON writer would make, or be there already."""
    return lambda answer, _: answer.with_body(answer.body.removesuffix(b"}") + b"," + members + b"}")


def with_body(text: str, *, status: int | None = None, content_type: str = "application/json; charset=utf-8") -> Edit:
    return lambda answer, _: answer.with_body(text.encode(), status=status, content_type=content_type)


def rewrite_challenge(find: str, put: str) -> Edit:
    def edit(answer: SimulatedResponse, _options: Options) -> SimulatedResponse:
        return answer.with_header("WWW-Authenticate", answer.challenge.replace(find, put))

    return edit


def refuse(make: Callable[[str], SimulatedResponse], name: str) -> Edit:
    """Puts a refusal in place of the answer, keeping the service's own headers."""

    def edit(answer: SimulatedResponse, options: Options) -> SimulatedResponse:
        refusal = make(name)
        changed = replace(answer, status=refusal.status, body=refusal.body, headers={**answer.headers, **refusal.headers})
        return changed if options.retry_after is None else changed.with_header("Retry-After", str(options.retry_after))

    return edit


def deliver(delivery: Delivery) -> Edit:
    return lambda answer, _: replace(answer, delivery=delivery)


def any_status(answer: SimulatedResponse, options: Options) -> SimulatedResponse:
    changed = answer.with_body(options.body.encode(), status=options.status)
    return changed if options.retry_after is None else changed.with_header("Retry-After", str(options.retry_after))


Change = Callable[[Vault, Options], Vault]


def each_key(change: Callable[[Key], Key]) -> Change:
    return lambda vault, options: vault.with_keys(change, options.key, options.version)


def each_version(**changes: object) -> Change:
    return lambda vault, options: vault.with_versions(options.key, options.version, **changes)


def deleted(vault: Vault, options: Options) -> Vault:
    return vault.with_keys(lambda key: replace(key, deleted=options.since), options.key, options.version)


def purged(vault: Vault, options: Options) -> Vault:
    kept = each_key(lambda key: replace(key, versions=()))(vault, options).keys
    return replace(vault, keys={name: key for name, key in kept.items() if key.versions})


def rotated(key: Key) -> Key:
    newest = replace(key.versions[-1], version="f" * 31 + str(len(key.versions) % 10), material=key.versions[-1].material + 1)
    return replace(key, versions=(*key.versions, newest))


def without_operation(vault: Vault, options: Options) -> Vault:
    kept = tuple(name for name in KeyVersion(version="").key_ops if name != options.operation)
    return vault.with_versions(options.key, options.version, key_ops=kept)


def each_secret(change: Callable[[ClientSecret], ClientSecret]) -> Callable[[Application, Options], Application]:
    return lambda application, _: replace(application, secrets=tuple(change(secret) for secret in application.secrets))
