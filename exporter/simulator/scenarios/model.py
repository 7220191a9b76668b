"""The type of a scenario, and the places outside of the simulator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.simulator.fault_table import FAULTS
from exporter.simulator.faults import FaultScope, Options, SimulatedFault

_DEFAULT = Options()


class Outside(StrEnum):
    """A place outside of the simulator that has the cause of a scenario."""

    CONFIGURATION = "configuration"  # the configuration, or the files that it names
    CERTIFICATE = "certificate"  # the certificate file of a credential
    IDENTITY = "identity"  # the host's identity service
    NETWORK = "network"  # the host's own network: resolver and routes
    PROXY = "proxy"  # the proxy to the vault


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the scenario table.

    `step` is the first failed step, None if no probe starts. `classic` and `current` are the codes in both generations.
    `cause` is the name of a fault, set on an object of that `scope`. For a place outside, it describes the cause.
    """

    name: str
    cause: str
    scope: FaultScope | Outside
    step: Step | None
    classic: int
    current: int
    reason: Reason
    story: str
    given: Options = _DEFAULT

    @property
    def fault(self) -> SimulatedFault | None:
        """Return the fault that causes it, None if the cause is outside."""
        return FAULTS[self.cause] if isinstance(self.scope, FaultScope) else None

    @property
    def broken(self) -> str:
        """Return what is broken, in a few words."""
        return self.cause if self.fault is None else self.fault.broken

    @property
    def options(self) -> Options:
        """Return the options of the fault.

        A fault of the response is limited to the scenario's step unless the given options name another.
        """
        if self.fault is None or self.fault.response is None:
            return self.given
        return replace(self.given, step=self.given.step or self.step)
