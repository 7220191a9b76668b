"""The searchable site in a browser, opened as files: a reader's words find the page, and no request leaves the host."""

import pytest
import pytest_asyncio

from docs.generators.site import ROOT, build
from tests.support.patience import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.tools, pytest.mark.asyncio(loop_scope="module")]
RESULTS = ".md-search-result__item > .md-search-result__link"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    place = tmp_path_factory.mktemp("site") / "site"
    build(ROOT / ".cache" / "site", place)
    return (place / "index.html").as_uri()


@pytest_asyncio.fixture(loop_scope="module")
async def opened(address, browser):
    """Return a page of the site, the addresses that it loads, and the errors of its console."""
    page, loaded, errors = await browser.new_page(), [], []
    page.on("request", lambda request: loaded.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    await page.goto(address)
    yield page, loaded, errors
    await page.close()


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("rotate", "key-rotation.html"),
        ("recovery pending", "recovery-pending.html"),
        ("ekm_probe_success", "metrics.html#ekm_probe_success"),
        ("3303", "codes.html#3303-errorgettokenbadcredentials"),
        ("EkmForbiddenSpike", "runbooks/EkmForbiddenSpike.html"),
        ("firewall", "private-endpoints.html"),
    ],
)
async def test_first_results_for_a_word_have_its_page(opened, words, name):
    page, loaded, errors = opened
    await page.fill("input.md-search__input", words)
    await page.wait_for_selector(RESULTS, timeout=PATIENCE * 1000)
    links = await page.locator(RESULTS).evaluate_all("links => links.map(link => link.href.replace(/[?]h=[^#]*/, ''))")
    first = [link.split("/site/")[1] for link in links[:3]]
    assert name in first
    assert [url for url in loaded if not url.startswith("file:")] == []
    assert errors == []


async def test_old_name_opens_the_new_page(opened, address):
    page, _, _ = opened
    folder = address.removesuffix("index.html")
    await page.goto(f"{folder}azure-inventory.html")
    await page.wait_for_url(f"{folder}inventory.html*", timeout=PATIENCE * 1000)
