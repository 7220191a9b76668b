"""The steps of a probe, for scenarios that several steps have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from exporter.core.model import Step
from exporter.core.reasons import Reason
from exporter.simulator.faults import FaultScope
from exporter.simulator.scenarios.model import Scenario


@dataclass(frozen=True, slots=True)
class Part:
    """One step: the prefix of its scenarios' names, and what it waits for."""

    step: Step
    prefix: str
    awaited: str
    scope: FaultScope = FaultScope.VAULT


PARTS: tuple[Part, ...] = (
    Part(Step.CHALLENGE, "challenge", "the challenge"),
    Part(Step.TOKEN, "token", "the token", FaultScope.APPLICATION),
    Part(Step.GET_KEY, "key", "the key"),
    Part(Step.WRAP_KEY, "wrap", "the wrapped bytes"),
    Part(Step.UNWRAP_KEY, "unwrap", "the unwrapped bytes"),
)
BODY_PARTS = PARTS[1:]  # the body of the challenge is not read


def step_scenarios(  # noqa: PLR0917 - a row of the table
    parts: tuple[Part, ...], fault: str, classic: int | dict[Step, int], current: int | None, reason: Reason, story: str
) -> Iterator[Scenario]:
    """Yield the same fault at each of these steps.

    `{awaited}` in the story is what the step waits for. `classic` is one code for all steps, or one for each. `current` is
    None if the code has no counterpart.
    """
    for part in parts:
        code = classic if isinstance(classic, int) else classic[part.step]
        text = story.format(awaited=part.awaited)
        yield Scenario(
            f"{part.prefix}_{fault}",
            fault,
            part.scope,
            part.step,
            code,
            code if current is None else current,
            reason,
            text[0].upper() + text[1:],
        )
