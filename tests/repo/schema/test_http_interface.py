"""The HTTP interface follows its OpenAPI document for valid and invalid requests: no 500, no hang."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from exporter.web.app import create_app
from exporter.web.options import web_options
from tests.support.patience import PATIENCE
from tests.support.web_server import Service, get, serving
from tests.system.prometheus.servers import demo, fetch

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Excluded checks: a page ignores unknown parameters, and a schema cannot express whether a name exists.
# The document lists the server errors: 503 at /probe and /-/ready. Any other is an undocumented status.
LEFT_OUT = "negative_data_rejection,positive_data_acceptance,not_a_server_error"
NAMES = '[parameters]\nname = "payroll-runs"\ntarget = "billing-invoices"\ncode = "3303"\n'
TEMPLATE = re.compile(r"\{\w+\}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def exporter(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    place = tmp_path_factory.mktemp("demo")
    async with demo(place) as address:
        yield f"http://{address}"
        assert "internal error" not in (place / "log").read_text()


@pytest.mark.parametrize("names", ["", NAMES], ids=["names at random", "names that there are"])
async def test_schemathesis_finds_no_undocumented_response(exporter, tmp_path, names):
    (tmp_path / "schemathesis.toml").write_text(names)
    arguments = [
        *("--config-file", str(tmp_path / "schemathesis.toml"), "run", f"{exporter}/api/v1/openapi.json"),
        *("--phases", "coverage,fuzzing", "--max-examples", "15", "--seed", "1", "--no-color"),
        *("--request-timeout", "10", "--exclude-checks", LEFT_OUT, "--generation-database", "none"),
    ]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", *arguments),
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(PATIENCE):
        output = (await process.communicate())[0].decode()
    assert process.returncode == 0, output
    described = operations(json.loads(await fetch(f"{exporter}/api/v1/openapi.json")))
    assert f"Tested: {len(described) - 1}\n" in output, output  # the test reads the document first
    assert await fetch(f"{exporter}/-/healthy") == "Healthy\n"


def operations(document):
    return [(path, method) for path, methods in document["paths"].items() for method in methods]


async def test_document_has_exactly_the_served_paths():
    async def reload():
        return []

    app = create_app(Service(), web_options(), reload=reload)
    served = {(route.resource.canonical, route.method.lower()) for route in app.router.routes()}
    async with serving(Service()) as session:
        document = json.loads((await get(session, "/api/v1/openapi.json"))[2])
    assets = {("/static/{name}", "get"), ("/static/{name}", "head")}
    assert {each for each in served - assets if each[1] != "head"} == set(operations(document))


async def test_document_behind_a_prefix_names_the_prefixed_paths():
    async with serving(Service(), external_url="https://prom.example/ekm/") as session:
        document = json.loads((await get(session, "/ekm/api/v1/openapi.json"))[2])
    assert document["servers"] == [{"url": "/ekm"}]


async def test_every_path_parameter_and_reference_is_defined():
    async with serving(Service()) as session:
        document = json.loads((await get(session, "/api/v1/openapi.json"))[2])
    for path, methods in document["paths"].items():
        for operation in methods.values():
            named = {each["name"] for each in operation.get("parameters", []) if each["in"] == "path"}
            assert {each.strip("{}") for each in TEMPLATE.findall(path)} == named, path
    schemas = document["components"]["schemas"]
    assert set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))) == set(schemas)
