"""Where the configuration differs from SQL Servers: on the status page, on the page of the target, in JSON and in the bundle."""

import json

import pytest

from exporter.sqlserver.differences import DifferenceKind
from tests.support.sql_differences import PINNED, URI, a_difference
from tests.support.web_factories import config, target
from tests.support.web_server import Service, answer, get, serving, unzipped, words

TEXT = f"Target contoso-key0 pins {PINNED}, but SQLPRD01 on n1 uses {URI} for 2 databases, so the verdict is not about the key in use."
ACTION = f"If the databases moved on purpose, write key: {URI} and thumbprint: "
NOT_PROBED = a_difference(kind=DifferenceKind.KEY_NOT_PROBED, target="", other="", pinned="")


def service_of(*differences):
    service = Service(config(target(), target("other")))
    service.differences = differences
    return service


def own(**changes):
    return a_difference(target="contoso-key0", other="", **changes)


async def test_page_of_the_target_shows_its_differences_alone():
    service = service_of(own(), a_difference(target="other", other=""), NOT_PROBED)
    shown = words((await answer(service, "/targets/contoso-key0"))[2])
    assert f"{TEXT} {ACTION}" in shown
    assert shown.count("SQLPRD01 on n1 uses") == 1


async def test_page_shows_ten_differences_and_counts_the_rest():
    shown = words((await answer(service_of(*[own()] * 12), "/targets/contoso-key0"))[2])
    assert shown.count(TEXT) == 10
    assert "2 more differences. The API lists them." in shown


@pytest.mark.parametrize(
    ("differences", "line"),
    [
        ((own(),), f"The configuration differs from SQL Server in 1 place. {TEXT} {ACTION}"),
        (
            (NOT_PROBED, own()),
            f"The configuration differs from SQL Server in 2 places. SQLPRD01 on n1 uses {URI} for 2 databases, and no",
        ),
    ],
)
async def test_status_page_shows_the_first_difference_and_their_number(differences, line):
    async with serving(service_of(*differences)) as session:
        status, listed = [words((await get(session, path))[2]) for path in ("/", "/targets")]
    assert line in status
    assert "The configuration differs" not in listed


async def test_pages_without_a_difference_do_not_mention_one():
    async with serving(service_of()) as session:
        for path in ("/", "/targets/contoso-key0"):
            assert "differ" not in words((await get(session, path))[2])
        assert "sql_differences" not in (await get(session, "/api/v1/targets"))[2]


async def test_hostile_name_is_text_on_every_page():
    async with serving(service_of(own(host="<script>alert(1)</script>"))) as session:
        for path in ("/", "/targets/contoso-key0"):
            assert "<script>alert" not in (await get(session, path))[2]


async def test_json_and_bundle_have_the_differences():
    async with serving(service_of(own(), *[NOT_PROBED] * 101)) as session:
        every = json.loads((await get(session, "/api/v1/targets"))[2])
        one = json.loads((await get(session, "/api/v1/targets/contoso-key0"))[2])
        async with session.get("/api/v1/targets/contoso-key0/support-bundle") as response:
            report = json.loads(unzipped(await response.read())["report.json"])
    assert len(every["sql_differences"]) == 100
    assert {each["target"] for each in every["sql_differences"]} == {"contoso-key0", None}
    (found,) = one["sql_differences"]
    assert report["sql_differences"] == [found]
    assert found["action"].startswith("If the databases moved on purpose, write `key: ")
    assert {name: found[name] for name in ("kind", "target", "key_uri", "pinned", "databases", "text")} == {
        "kind": "other_version",
        "target": "contoso-key0",
        "key_uri": URI,
        "pinned": PINNED,
        "databases": 2,
        "text": TEXT,
    }
