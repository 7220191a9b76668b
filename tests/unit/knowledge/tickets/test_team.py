"""Which team gets the ticket of a failure."""

import pytest

from exporter.core.values import Facts, Outcome, Step
from exporter.knowledge.code_row import OWNERS, Owner
from exporter.knowledge.reasons import Reason
from exporter.knowledge.report import StepResult
from exporter.knowledge.tickets import TEAM_TITLES, Team, team_of, who_repairs


@pytest.mark.parametrize(
    ("reason", "step", "status", "owner", "team"),
    [
        (Reason.CONNECT_TIMEOUT, Step.CHALLENGE, None, Owner.NETWORK, Team.NETWORK),
        (Reason.SECRET_EXPIRED, Step.TOKEN, 401, Owner.IDENTITY, Team.IDENTITY),
        (Reason.FORBIDDEN_FIREWALL, Step.GET_KEY, 403, Owner.VAULT, Team.VAULT),
        (Reason.SERVER_ERROR, Step.GET_KEY, 500, Owner.VAULT, Team.MICROSOFT),
        (Reason.ENTRA_UNAVAILABLE, Step.TOKEN, 503, Owner.VAULT, Team.MICROSOFT),
        (Reason.KEY_UNSUPPORTED, Step.GET_KEY, 200, Owner.DBA, None),
        (Reason.CLOCK_SKEW, Step.TOKEN, 401, Owner.IDENTITY, None),
        (Reason.INTERNAL, Step.GET_KEY, None, Owner.NETWORK, None),
    ],
)
def test_team_follows_from_reason_and_owner(reason, step, status, owner, team):
    failed = StepResult(step=step, outcome=Outcome.FAILED, reason=reason, facts=Facts(status=status))
    assert team_of(failed, owner) is team


@pytest.mark.parametrize(
    ("reason", "owner", "who"),
    [
        (Reason.SERVER_ERROR, Owner.VAULT, "Microsoft's support"),
        (Reason.FORBIDDEN_FIREWALL, Owner.VAULT, TEAM_TITLES[Team.VAULT]),
        (Reason.KEY_UNSUPPORTED, Owner.DBA, OWNERS[Owner.DBA]),
        (Reason.INTERNAL, Owner.NETWORK, OWNERS[Owner.EXPORTER]),
    ],
)
def test_card_and_ticket_name_the_same_team(reason, owner, who):
    assert who_repairs(StepResult(step=Step.GET_KEY, outcome=Outcome.FAILED, reason=reason), owner) == who


def test_every_owner_has_words():
    assert set(OWNERS) == set(Owner)


def test_every_team_has_a_title():
    assert set(TEAM_TITLES) == set(Team)
