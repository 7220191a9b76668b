"""Pages name what a failure stops in SQL Server, unless the vault still unwraps."""

from exporter.core.values import Step
from exporter.knowledge.code_row import WITHOUT_THE_KEY
from exporter.knowledge.reasons import Reason
from tests.support.web_factories import bad, config, target
from tests.support.web_server import Service, answer, get, serving, words


async def test_page_of_a_target_not_ready_names_the_three_clocks() -> None:
    service = Service(config(target("refused")))
    service.add_reports(bad("refused"))
    _, _, html = await answer(service, "/targets/refused")
    assert words(html).count(WITHOUT_THE_KEY) == 1


async def test_page_of_a_target_that_only_fails_wrap_names_no_clock() -> None:
    service = Service(config(target("wrapless")))
    service.add_reports(bad("wrapless", step=Step.WRAP_KEY, code=3077, reason=Reason.FORBIDDEN_RBAC, ready=True))
    _, _, html = await answer(service, "/targets/wrapless")
    assert WITHOUT_THE_KEY not in words(html)


async def test_pages_of_code_and_reason_name_the_three_clocks() -> None:
    async with serving(Service(config(target("refused")))) as session:
        _, _, code = await get(session, "/explain/3303")
        _, _, reason = await get(session, "/explain?code=secret_expired")
    assert WITHOUT_THE_KEY in words(code)
    assert WITHOUT_THE_KEY in words(reason)
