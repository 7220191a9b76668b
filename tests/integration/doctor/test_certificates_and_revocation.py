"""Certificates and revocation hosts with hostile content."""

import asyncio
import contextlib
import errno
import ssl

import pytest

from exporter.cli.main import main
from exporter.clients.http.network import Networks
from exporter.config.settings import Config, Module, Proxy, SecretSource, Settings
from exporter.doctor import collect
from exporter.doctor.collect import problem_with, read_certificate
from exporter.knowledge.checks_vault import CheckOutcome
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, Shortage
from tests.integration.doctor.check_causes import inspected
from tests.support.broken_credentials import closed_port
from tests.support.doctor_simulated import ENTRA, SECRET, VAULT
from tests.support.inspecting_proxy import CRL, OCSP, write_certificates

URL = f"http://{CRL}/inspector.crl"


def der_of(file):
    return ssl.PEM_cert_to_DER_cert(
        file.read_text().partition("-----BEGIN CERTIFICATE")[1] + file.read_text().partition("-----BEGIN CERTIFICATE")[2]
    )


def test_certificate_has_issuer_and_revocation_hosts(tmp_path):
    write_certificates(tmp_path, [VAULT], issuer="An\nIssuer\x1b[31m", company="C" * 60)
    found = read_certificate(der_of(tmp_path / "inspector.pem"))
    assert found.issuer.isprintable()
    assert found.issuer.startswith("An Issuer")
    assert found.revocation == (URL, f"http://{OCSP}/")


@pytest.mark.parametrize("data", [b"", b"0", b"\x30\x82\x01\x00" + bytes(256)])
def test_malformed_certificate_is_none(data):
    assert read_certificate(data) is None


async def inspected_by(harness, company, *, trusted, crl_check=False):
    """The results if an authority of that company signs the certificates of both hosts."""
    harness.module["crl_check"] = crl_check
    async with contextlib.AsyncExitStack() as stack:
        await inspected(VAULT, ENTRA, trusted=trusted, company=company)(harness, stack)
        return await harness.results()


async def test_trusted_azure_authority_is_no_warning(harness):
    results = await inspected_by(harness, "Microsoft Corporation", trusted=True)
    assert results["issuer_vault"].outcome is results["issuer_entra"].outcome is CheckOutcome.PASS


async def test_untrusted_azure_authority_fails_tls(harness):
    results = await inspected_by(harness, "DigiCert Inc", trusted=False)
    failed = {name for name, result in results.items() if result.outcome is CheckOutcome.FAIL}
    assert failed == {"tls_vault", "tls_entra"}
    assert "issued by 'Contoso Inspection CA'" in results["tls_vault"].detail


async def test_untrusted_certificate_chooses_no_host_to_connect_to(harness, monkeypatch):
    asked = []

    async def note(_network, url, **_deadline):
        asked.append(url)
        return ""

    monkeypatch.setattr(collect, "problem_with", note)
    await inspected_by(harness, "Contoso", trusted=False, crl_check=True)
    assert asked == []
    await inspected_by(harness, "Contoso", trusted=True, crl_check=True)
    assert URL in asked


@contextlib.asynccontextmanager
async def answering(sent):
    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def problem(seconds=5.0, **module):
    pool = DaemonThreadPool(4, name="test-port80")
    config = Config(settings=Settings(), credentials={}, modules={"default": Module(name="default", **module)}, targets={})
    try:
        network = Networks(config, pool=pool).network_of(config.modules["default"])
        return await problem_with(network, URL, deadline=asyncio.get_running_loop().time() + seconds)
    finally:
        pool.close()


def at(port):
    return {"connect_to": {f"{CRL}:80": f"127.0.0.1:{port}"}}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", ""),
        (b"HTTP/1.0 503 Busy\r\n\r\n", ""),
        (b"SSH-2.0-x\r\n", "the response is not HTTP"),
        (b"", "the response is not HTTP"),
        (b"x" * 100_000, "the response is not HTTP"),
    ],
    ids=["404", "503", "ssh", "nothing", "endless"],
)
async def test_any_http_response_of_the_host_is_a_success(sent, expected):
    async with answering(sent) as port:
        assert await problem(**at(port)) == expected


async def test_host_that_breaks_the_connection_is_not_asked_at_its_next_address(monkeypatch):
    asked, whole = [], collect._head

    async def resolve(*_):
        return [{"host": "127.0.0.1", "port": each} for each in (closed_port(), port, port)]

    async def broken(*arguments):
        asked.append(await whole(*arguments))
        raise ConnectionResetError(errno.ECONNRESET, "reset")

    monkeypatch.setattr(collect.Resolver, "resolve", resolve)
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n") as port:
        assert await problem() == ""
        monkeypatch.setattr(collect, "_head", broken)
        assert "reset" in await problem()
    assert asked == [200]


async def test_connection_failure_has_a_short_text():
    assert "refused" in await problem(**at(closed_port()))
    assert await problem(connect_to={f"{CRL}:80": "nowhere.invalid:80"}) == "the name does not resolve"


async def test_silent_host_ends_at_the_deadline():
    over = asyncio.Event()

    async def wait(_reader, writer):
        await over.wait()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        assert await problem(0.2, **at(server.sockets[0].getsockname()[1])) == "no response in time"
        over.set()


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"HTTP/1.1 407 No\r\n\r\n", "the proxy answers HTTP 407"),
        (b"HTTP/1.1 502 No\r\n\r\n", "the proxy answers HTTP 502"),
        (b"HTTP/1.1 404 No\r\n\r\n", ""),
    ],
)
async def test_refusal_of_the_proxy_is_a_problem(sent, expected):
    async with answering(sent) as port:
        assert await problem(proxy=Proxy(url=f"http://127.0.0.1:{port}")) == expected


async def test_unreadable_proxy_password_is_a_problem(tmp_path):
    gone = Proxy(url="http://127.0.0.1:1", username="u", password=SecretSource(file=tmp_path / "gone"))
    async with answering(b"") as port:
        gone = Proxy(url=f"http://127.0.0.1:{port}", username="u", password=gone.password)
        assert await problem(proxy=gone) == "the proxy's password cannot be read"


async def test_revocation_host_is_not_blamed_for_missing_descriptors(monkeypatch):
    async def none_left(*_arguments, **_options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(asyncio, "open_connection", none_left)
    with pytest.raises(PoolExhausted) as caught:
        await problem(**at(1))
    assert caught.value.shortage is Shortage.DESCRIPTORS


def test_shortage_ends_the_command_with_code_3(tmp_path, monkeypatch, capsys):
    async def busy(*_arguments, **_options):
        raise PoolExhausted("no thread")

    monkeypatch.setattr(collect, "check_endpoint", busy)
    (tmp_path / "typed").write_text("0" * 32 + SECRET)
    code = main(["doctor", "--vault", "nowhere.vault.invalid", "--key", "K", "--connector-secret-file", str(tmp_path / "typed")])
    assert (code, capsys.readouterr().out) == (3, "")
