"""The shape of one scenario, and where the cause of one can lie.

For: the frozen row of the scenario table.
Not for: the rows (one module for each part of a probe), nor how anything is caused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from exporter.core.faults import Reason
from exporter.core.model import Step
from exporter.simulator.fault_table import FAULTS
from exporter.simulator.faults import Fault, Options, Scope

_DEFAULT = Options()


class Outside(StrEnum):
    """Where the cause of a scenario lies that no simulated service can be."""

    CONFIGURATION = "configuration"  # what is written there, or in the files that it names
    CERTIFICATE = "certificate"  # the certificate file of a credential
    IDENTITY = "identity"  # the service that a managed identity is asked of
    NETWORK = "network"  # the host's own network: resolver and routes
    PROXY = "proxy"  # the proxy on the way


@dataclass(frozen=True, slots=True)
class Scenario:
    """`step` is the first that fails, None where the probe is not even begun; `classic` and `current` are its code there.

    `cause` names a fault of the fault table, set on a thing of the kind `place`; for a place outside, it says what is wrong.
    """

    name: str
    cause: str
    place: Scope | Outside
    step: Step | None
    classic: int
    current: int
    reason: Reason
    story: str
    given: Options = _DEFAULT

    @property
    def fault(self) -> Fault | None:
        """The fault that causes it, None where the cause lies outside."""
        return FAULTS[self.cause] if isinstance(self.place, Scope) else None

    @property
    def broken(self) -> str:
        return self.cause if self.fault is None else self.fault.broken

    @property
    def options(self) -> Options:
        """What was given; a fault of the answer is kept to the step at which it is met, unless another was given."""
        if self.fault is None or self.fault.answer is None:
            return self.given
        return replace(self.given, step=self.given.step or self.step)
