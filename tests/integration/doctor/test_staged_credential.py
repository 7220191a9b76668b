"""A refused credential with a staged one: `doctor` advises to switch only if the staged one is proven."""

from exporter.config.settings import SecretSource
from exporter.doctor.run import run_checks
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.simulator.environment import ClientSecret
from tests.support.doctor_simulated import CLIENT, SECRET
from tests.support.values import replace

NEXT_SECRET = "MARKED~staged.secret"


async def token_result(harness, *, registered):
    """Return the result of the check `token` if the current secret has expired."""
    secrets = (ClientSecret(value=SECRET, expires=946684800.0), *((ClientSecret(value=NEXT_SECRET),) if registered else ()))
    harness.simulator.state.change_application(CLIENT, lambda application: replace(application, secrets=secrets))
    file = harness.folder / "next"
    file.write_text(NEXT_SECRET)
    file.chmod(0o600)
    harness.target = replace(harness.target, next_credential="sql-next")
    config = harness.configuration()
    staged = replace(harness.credential, name="sql-next", secret=SecretSource(file=file))
    config = replace(config, credentials={**config.credentials, "sql-next": staged})
    results = await run_checks(config, harness.target, clock=harness.clock)
    return {result.check: result for result in results}["token"]


async def test_proven_staged_credential_is_the_fix(harness):
    result = await token_result(harness, registered=True)
    assert (result.outcome, result.code) == (CheckOutcome.FAIL, 3303)
    assert (
        result.fix[0]
        == "The staged credential sql-next is usable. On every replica, write the secret with `sqlcmd`, as the first lines of this script show:"
    )
    assert any("alter-credential.sql" in line for line in result.fix)
    assert not any("credential reset" in line for line in result.fix)
    assert "`credential: sql-next`" in repr(result.fix)
    assert NEXT_SECRET not in repr(result)


async def test_refused_staged_credential_is_no_fix(harness):
    result = await token_result(harness, registered=False)
    assert result.outcome is CheckOutcome.FAIL
    assert any("credential reset" in line for line in result.fix)
    assert "sql-next" not in repr(result.fix)
