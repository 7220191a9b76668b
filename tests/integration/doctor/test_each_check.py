"""Each cause fails one check, with the code that SQL Server would show and with its effect."""

import contextlib

import pytest

from exporter.doctor.run import CHECK_FUNCTIONS, as_text
from exporter.knowledge.checks import BY_NAME, CHECKS
from exporter.knowledge.checks_vault import CheckOutcome
from tests.integration.doctor.check_causes import CAUSES, inspected
from tests.support.doctor_simulated import ALWAYS, ENTRA, SECRET, VAULT

LOUD = (CheckOutcome.WARN, CheckOutcome.FAIL)


async def test_healthy_target_passes_every_visible_check(harness):
    results = await harness.results()
    expected = {check.name: CheckOutcome.UNKNOWN if check.on_host else CheckOutcome.PASS for check in CHECKS} | ALWAYS
    assert {name: result.outcome for name, result in results.items()} == expected
    assert list(results) == [check.name for check in CHECKS]


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: f"{cause.check}: {cause.how}")
async def test_each_cause_fails_its_check_only(harness, cause):
    async with contextlib.AsyncExitStack() as stack:
        await cause.cause(harness, stack)
        results = await harness.results()
    loud = {name: result.outcome for name, result in results.items() if result.outcome in LOUD and name not in ALWAYS}
    result = results[cause.check]
    if cause.check not in ALWAYS:
        contradicted = {cause.contradicted: CheckOutcome.WARN} if cause.contradicted else {}
        assert loud == {cause.check: cause.outcome, **contradicted}, result.detail
    else:
        assert result.outcome is cause.outcome
        assert loud == {}
    assert result.code == cause.code
    assert cause.text in "\n".join((result.detail, *result.fix))
    assert result.fix
    assert SECRET not in repr(results)
    end = " ".join(as_text(harness.target, list(results.values())).split("\n\n")[-1].split())
    assert cause.outcome is CheckOutcome.WARN or cause.effect in end
    assert ("do not restart" in end) is (cause.outcome is CheckOutcome.FAIL and cause.effect == "do not restart")


def test_each_visible_check_has_a_cause():
    seen_from_here = {check.name for check in CHECKS if not check.on_host}
    assert {cause.check for cause in CAUSES} == seen_from_here
    assert set(CHECK_FUNCTIONS) == set(BY_NAME)


async def test_unreachable_entra_hides_no_vault_check(harness):
    harness.simulator.set_fault("unresolvable", authority=ENTRA)
    results = await harness.results()
    fine = ("dns_vault", "tcp_vault", "tls_vault", "path", "challenge", "tenant", "secret", "key_name")
    assert all(results[name].outcome is CheckOutcome.PASS for name in fine)
    assert results["permission_get"].outcome is CheckOutcome.SKIPPED
    assert BY_NAME["dns_entra"].title in results["permission_get"].detail


async def test_crl_check_false_skips_revocation(harness):
    async with contextlib.AsyncExitStack() as stack:
        await inspected(VAULT, trusted=True)(harness, stack)
        harness.module["crl_check"] = False
        result = (await harness.results())["revocation"]
    assert (result.outcome, result.detail) == (CheckOutcome.SKIPPED, "crl_check is off in the module")
