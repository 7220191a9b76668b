"""Responses and log lines contain none of the marked secrets of the configuration."""

import io
import logging
import re

import pytest

from exporter.config.settings import Module, Proxy, SecretSource
from exporter.presentation.log import ProbeLog
from exporter.runtime.logging import LogFormat, configure
from tests.support.web_factories import bad, config, target
from tests.support.web_server import Service, get, serving

MARKED = "Marked~Secret.8Q-9w_0123456789abcdefghij"


@pytest.fixture
def log():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure("debug", LogFormat.LOGFMT, stream=stream)
    yield stream
    root.handlers[:], root.level = handlers, level


async def test_no_page_response_or_log_line_has_a_secret(log, monkeypatch, tmp_path):
    monkeypatch.setenv("SQL_PROD", MARKED)
    password = tmp_path / "password"
    password.write_text(MARKED)
    proxy = Proxy(url=f"http://someone:{MARKED}@proxy:3128", username="someone", password=SecretSource(file=password))
    service = Service(config(target(), modules={"default": Module(name="default", proxy=proxy)}))
    service.add_reports(bad())
    emitted = []
    async with serving(service) as session:
        todo, seen = ["/", "/api/v1/targets/contoso-key0", "/probe?target=contoso-key0", "/-/reload"], set()
        while todo:
            path = todo.pop()
            seen.add(path)
            _, headers, text = await get(session, path, headers={"Authorization": f"Bearer {MARKED}"})
            emitted += [str(headers), text]
            links = set(re.findall(r'href="(/[^"#]*)"', text.replace("&amp;", "&")))
            todo += [link for link in links - seen if not link.startswith("/docs")]  # written before any secret is known
        emitted.append(
            (await get(session, f"/probe?target={MARKED}"))[2].replace(MARKED, "", 1)
        )  # the response returns it to its sender
    assert len(seen) > 10
    ProbeLog().record(target(), bad())
    logging.getLogger("azure.identity").warning("sent %s", MARKED)
    emitted.append(log.getvalue())
    assert "probe failed" in log.getvalue()
    assert [text for text in emitted if MARKED in text] == []


async def test_a_malformed_request_is_not_written_to_the_log(log):
    async with serving(Service()) as session, session.get("/metrics", headers={"X-Long": MARKED * 500}) as response:
        assert response.status == 400
    assert MARKED not in log.getvalue()
