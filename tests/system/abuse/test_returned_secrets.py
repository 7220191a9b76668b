"""A server returns the secret in every field and encoding; the exporter never emits it."""

import io
import json
import logging
import re
from dataclasses import dataclass

import pytest

from exporter.doctor.run import as_data, as_text, run_checks
from exporter.runtime.logging import LogFormat, configure
from tests.support.running import answering
from tests.support.tls_server import ENTRA, TENANT, TOKEN, Authority, FakeVault, Wire, response
from tests.support.web_server import get
from tests.support.written import written
from tests.system.abuse.echoes import ENCODINGS, PLACES, leaks

SECRETS = {
    "word": "MarkedWord-8Q9w.0123456789-zyxwv",
    "signs": "Mark~ed&<\"8Q%9w'+/\\=0?12 3456#zyx",
}
WORDS = ("plain", "base64url bare", "hexadecimal", "upper", "cut")  # these look like a code, an id or a region
DOMAIN = "vault.azure.net"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))


@dataclass(frozen=True)
class Echo:
    place: str
    text: str


class Echoing(FakeVault):
    """A working vault for every host; one response of each host contains an echo."""

    def __init__(self, echoes):
        super().__init__()
        self.echoes = echoes
        self.made = set()

    def __call__(self, request):
        host = request.headers["host"]
        number = int(re.search(r"\d+", request.path.split("/")[1] if host == ENTRA else host)[0])
        echo = self.echoes.get(number, Echo("nowhere", ""))
        if host == ENTRA:
            step, good = "token", {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
        elif "authorization" not in request.headers:
            step, good = "challenge", {}
        else:
            step, good = ("get_key" if request.method == "GET" else request.path.rpartition("/")[2]), self.document()
        if echo.place.partition(" ")[0] == step:
            self.made.add(number)
            return PLACES[echo.place](echo.text, good)
        if step == "token":
            return response(200, good)
        if step == "challenge":
            return response(
                401,
                WWW_Authenticate=f'Bearer authorization="https://{ENTRA}/{number:08}{TENANT[8:]}", resource="https://{DOMAIN}"',
            )
        return super().__call__(request)


def configuration(folder, authority, wire, hosts, secret):
    credential = {"type": "client_secret", "client_id": TENANT, "client_secret_file": "secret", "expires_on": "2099-01-01"}
    document = {
        "credentials": {"sql": credential},
        "modules": {
            "default": {
                "tls": {"ca_file": str(authority.file)},
                "connect_to": {f"{each}:443": f"127.0.0.1:{wire.port}" for each in hosts},
            }
        },
        "targets": [
            {"name": host.partition(".")[0], "vault": host, "key": "Key0", "credential": "sql"} for host in hosts if host != ENTRA
        ],
    }
    return written(folder, document, secret=secret), folder / "ekm.yml"


@pytest.fixture
def logs():
    """The log at level debug, in both formats."""
    root, streams = logging.getLogger(), []
    handlers, level = root.handlers[:], root.level
    made = []
    for fmt in LogFormat:
        configure("debug", fmt, stream=streams.append(io.StringIO()) or streams[-1])
        made += root.handlers
    root.handlers[:] = made
    yield lambda: [stream.getvalue() for stream in streams]
    root.handlers[:], root.level = handlers, level


async def crawled(session, targets):
    """Every page, API response and bundle of these targets."""
    todo, seen = ["/", "/metrics", "/config", "/api/v1/targets", "/sd/targets"], {}
    for target in targets:
        todo += [
            f"/targets/{target}",
            f"/api/v1/targets/{target}",
            f"/api/v1/targets/{target}/support-bundle",
            f"/probe?target={target}",
        ]
    while todo:
        path = todo.pop()
        if path in seen:
            continue
        status, headers, text = await get(session, path)
        assert status < 500, (path, text)
        seen[path] = f"{dict(headers)}\n{text}"
        found = re.findall(r'href="(/[^"#]+)"', text.replace("&amp;", "&"))
        todo += [link for link in found if "/probes/" in link or "bundle" in link]
    return seen


@pytest.fixture
async def echoing(authority):
    wires = []

    async def start(echoes):
        hosts = [f"vault-{number}.{DOMAIN}" for number in range(10, 10 + len(echoes))]
        vault = Echoing(dict(enumerate(echoes, 10)))
        wire = await Wire(context=authority.server(*hosts, ENTRA), answer=vault).start()
        wires.append(wire)
        return vault, wire, [*hosts, ENTRA]

    yield start
    for wire in wires:
        await wire.stop()


@pytest.fixture
def emitted(authority, echoing, logs, tmp_path):
    """Everything that an exporter emits after each of these echoes was a response to one target."""

    async def collect(secret, echoes):
        vault, wire, hosts = await echoing(echoes)
        config, file = configuration(tmp_path, authority, wire, hosts, secret)
        found = {}
        async with answering(config, state_dir=tmp_path / "state", config_file=file) as (_, session):
            for target in config.targets:
                path = f"/probe?target={target}&debug=true"
                found[path] = (await get(session, path))[2]
                assert "Requests and responses" in found[path] or "result" in found[path]
            found |= await crawled(session, config.targets)
        found |= {str(each): each.read_text() for each in (tmp_path / "state").rglob("*") if each.is_file()}
        assert len(vault.made) == len(echoes)
        return found | dict(enumerate(logs()))

    return collect


TOKEN_FORMS = ("plain", "quoted twice", "base64", "hexadecimal", "JSON escapes", "split", "cut")
WITH_TOKEN = [place for place in PLACES if place.startswith(("get_key", "wrapkey", "unwrapkey"))]
CASES = [(kind, name) for kind, names in {"signs": ENCODINGS, "word": WORDS, "token": TOKEN_FORMS}.items() for name in names]


@pytest.mark.parametrize(("kind", "encoding"), CASES)
async def test_secret_or_token_in_any_response_field_is_never_emitted(kind, encoding, emitted):
    marked, places = (TOKEN, WITH_TOKEN) if kind == "token" else (SECRETS[kind], PLACES)
    texts = await emitted(SECRETS.get(kind, SECRETS["word"]), [Echo(place, ENCODINGS[encoding](marked)) for place in places])
    assert "probe failed" in texts[0]
    assert {str(where): found for where, text in texts.items() if (found := leaks(text, marked))} == {}


async def test_response_without_the_secret_keeps_its_codes(emitted):
    texts = await emitted(SECRETS["signs"], [Echo("get_key", "Forbidden-by-policy"), Echo("get_key good", "westus2")])
    assert "service_code=Forbidden-by-policy" in texts[0]
    assert "the caller sent Forbidden-by-policy" in texts["/api/v1/targets/vault-10"]
    assert 'region="westus2"' in texts["/probe?target=vault-11"]


@pytest.mark.parametrize("place", ["challenge", "token", "get_key"])
async def test_doctor_output_has_no_returned_secret(place, authority, echoing, tmp_path):
    secret = SECRETS["signs"]
    _, wire, hosts = await echoing([Echo(place, encode(secret)) for encode in ENCODINGS.values()])
    config, _ = configuration(tmp_path, authority, wire, hosts, secret)
    shown = {}
    for target in config.targets.values():
        results = await run_checks(config, target)
        shown[target.name] = as_text(target, results, verbose=True) + json.dumps(as_data(target, results))
    assert {name: found for name, text in shown.items() if (found := leaks(text, secret))} == {}


@pytest.mark.parametrize("trusted", [True, False])
async def test_secret_in_a_certificate_name_is_never_emitted(trusted, authority, logs, tmp_path):
    secret = SECRETS["signs"]
    issuing = Authority(tmp_path, secret[:60])
    host = f"vault-10.{DOMAIN}"
    wire = await Wire(context=issuing.server(host, ENTRA), answer=Echoing({})).start()
    try:
        config, _ = configuration(tmp_path, issuing if trusted else authority, wire, [host, ENTRA], secret)
        target = config.targets["vault-10"]
        async with answering(config, state_dir=tmp_path / "state") as (_, session):
            texts = [(await get(session, f"/probe?target=vault-10&debug={debug}"))[2] for debug in ("false", "true")]
            texts += (await crawled(session, config.targets)).values()
        results = await run_checks(config, target)
    finally:
        await wire.stop()
    kept = [each.read_text() for each in (tmp_path / "state").glob("*.json")]
    assert any("<secret>" in text for text in kept) is trusted
    assert [found for text in [*texts, *kept, *logs(), as_text(target, results)] if (found := leaks(text, secret))] == []
