"""A service of Windows, as its service manager has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDefinition:
    name: str
    command: str  # the program with its arguments; a path with a blank is in quotes
    account: str  # that the service runs as

    def is_same(self, other: ServiceDefinition | None) -> bool:
        """Whether both run the same command as the same account; Windows ignores the case of an account."""
        return other is not None and (self.command, self.account.casefold()) == (other.command, other.account.casefold())


@dataclass(frozen=True, slots=True)
class ServiceState:
    """`STOPPED` and so on of `service_control`, and the exit code of a stopped service."""

    state: int
    exit_code: int = 0
