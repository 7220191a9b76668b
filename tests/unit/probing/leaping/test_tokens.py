"""Sharing of token requests, reuse of tokens, failures, and tokens for SQL Servers."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

import pytest

from exporter.clients.http.network import make_network
from exporter.config.settings import Credential, Module, Proxy, Retained, Settings
from exporter.core.values import Challenge, CredentialKind, Facts, Fault, TokenResult
from exporter.probing import tokens as tokens_module
from exporter.probing.secrets import CredentialSecret
from exporter.probing.tokens import DatabaseTokens, ReuseWindow, TokenCache, database_challenge, is_refusal, reuse_policy
from exporter.runtime.files import FileUnreadableError
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted
from tests.support.factories import a_config, a_credential, a_target
from tests.support.values import replace

# Sharing of token requests, reuse of tokens, and failures.

CREDENTIAL = Credential(name="sql", kind=CredentialKind.CLIENT_SECRET, client_id="c")
MODULE = Module(name="default")
CHALLENGE = Challenge(authority="https://login.microsoftonline.com", tenant="t1", resource="https://vault.azure.net")
REFUSED = Facts(fault=Fault.HTTP_STATUS, status=401, aadsts=7000215)
GRANTED = Facts(status=200)
WALL = 1_700_000_000.0


class Entra:
    """A fake token request.

    `replies` are the facts of each request in turn; the last one repeats.
    """

    def __init__(self):
        self.requests = []
        self.cancelled = 0
        self.takes = 0.2
        self.replies = [GRANTED]
        self.lives = None

    async def __call__(self, _network, credential, secret, challenge, *, deadline):
        number = len(self.requests)
        self.requests.append((credential.name, secret, challenge, deadline))
        try:
            await asyncio.sleep(self.takes)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        facts = self.replies[min(number, len(self.replies) - 1)]
        if isinstance(facts, Exception):
            raise facts
        token = f"token-{number}" if facts.fault is Fault.NONE else None
        expires_at = None if self.lives is None else WALL + now() + self.lives
        return TokenResult(facts=facts, token=token, expires_at=expires_at)


class Secrets:
    def __init__(self):
        self.text = "s3cret"
        self.failure = ""
        self.takes = 0.0

    def find(self, _credential):
        return None

    async def read(self, credential):
        await asyncio.sleep(self.takes)
        return CredentialSecret(text=self.text, failure=self.failure, fingerprint=f"{credential.name}:{self.text}")


def now():
    return asyncio.get_running_loop().time()


@pytest.fixture
def entra():
    return Entra()


@pytest.fixture
def secrets():
    return Secrets()


@pytest.fixture
async def cache(entra, secrets):
    cache = TokenCache(
        secrets, fetch=entra, reuse_policy=lambda _credential, _module: ReuseWindow(60.0, 10.0), clock=lambda: WALL + now()
    )
    yield cache
    await cache.aclose()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("token ")]


def token_for(cache, credential=CREDENTIAL, module=MODULE, challenge=CHALLENGE, *, patience=10.0, fresh=False, started=None):
    started = now() if started is None else started
    return cache.token(
        credential, SimpleNamespace(module=module), challenge, started=started, deadline=now() + patience, fresh=fresh
    )


async def test_twenty_targets_of_one_credential_send_one_request(cache, entra):
    results = await asyncio.gather(*(token_for(cache) for _ in range(20)))
    assert len(entra.requests) == 1
    assert {result.token for result in results} == {"token-0"}
    assert [result.shared for result in results].count(False) == 1
    assert [result.duration for result in results] == pytest.approx([0.2] * 20)


async def test_five_thousand_probes_in_one_window_send_one_request(cache, entra):
    begin = now()

    async def probe(number):
        await asyncio.sleep(number * 0.0107)
        return await token_for(cache)

    results = await asyncio.gather(*(probe(number) for number in range(5000)))
    assert 53.0 < now() - begin < 54.0
    assert len(entra.requests) == 1
    assert [result.shared for result in results].count(False) == 1


async def test_next_probe_of_a_target_gets_a_new_token_despite_jitter(cache, entra):
    for gap in (54.0, 66.0, 54.0):
        await token_for(cache)
        await asyncio.sleep(gap - entra.takes)
    assert len(entra.requests) == 3


async def test_slow_challenge_does_not_shift_the_window(cache, entra):
    await token_for(cache, started=now() - 5.0)
    await asyncio.sleep(49.0)
    await token_for(cache)
    assert len(entra.requests) == 2


@pytest.mark.parametrize("facts", [REFUSED, Facts(fault=Fault.ANSWER_NOT_JSON, status=200)], ids=["refusal", "unusable"])
async def test_refusal_is_shared_for_the_whole_window(cache, entra, facts):
    entra.replies = [facts]
    first, second = await token_for(cache), await token_for(cache)
    await asyncio.sleep(50.0)
    third = await token_for(cache)
    assert len(entra.requests) == 1
    assert [result.facts for result in (first, second, third)] == [facts] * 3
    assert [result.shared for result in (first, second, third)] == [False, True, True]


@pytest.mark.parametrize(
    "facts",
    [
        Facts(fault=Fault.READ_TIMEOUT),
        Facts(fault=Fault.DNS_NOT_FOUND),
        Facts(fault=Fault.PROXY_STATUS, status=407),
        Facts(fault=Fault.BODY_TRUNCATED, status=200),
    ],
    ids=lambda facts: facts.fault.value,
)
async def test_network_failure_is_shared_by_waiters_and_not_kept(cache, entra, facts):
    entra.replies = [facts, GRANTED]
    results = await asyncio.gather(*(token_for(cache) for _ in range(5)))
    assert [result.facts for result in results] == [facts] * 5
    assert (await token_for(cache)).token == "token-1"
    assert len(entra.requests) == 2


async def test_waiter_that_gives_up_does_not_cancel_the_request(cache, entra):
    entra.takes = 3.0
    patient = asyncio.create_task(token_for(cache))
    await asyncio.sleep(0.1)
    hasty = await token_for(cache, patience=1.0)
    assert (hasty.token, hasty.facts.fault, hasty.shared) == (None, Fault.READ_TIMEOUT, True)
    assert hasty.duration == pytest.approx(1.0)
    assert (await patient).token == "token-0"
    assert entra.cancelled == 0


async def test_cancelled_probe_does_not_cancel_the_shared_request(cache, entra):
    entra.takes = 3.0
    first = asyncio.create_task(token_for(cache))
    await asyncio.sleep(0.1)
    second = asyncio.create_task(token_for(cache))
    await asyncio.sleep(0.1)
    first.cancel()
    result = await second
    assert (result.token, result.shared) == ("token-0", False)
    assert first.cancelled()
    assert entra.cancelled == 0


async def test_late_response_is_kept_and_counted_once(cache, entra):
    entra.takes = 3.0
    entra.replies = [REFUSED]
    gave_up = await token_for(cache, patience=1.0)
    assert (gave_up.facts.fault, gave_up.shared) == (Fault.READ_TIMEOUT, False)
    later = [await token_for(cache), await token_for(cache)]
    assert [(result.facts, result.shared) for result in later] == [(REFUSED, False), (REFUSED, True)]
    assert later[0].duration == pytest.approx(3.0)
    assert len(entra.requests) == 1


async def test_request_has_the_longest_timeout_of_its_targets(cache, entra):
    begin = now()
    await token_for(cache, patience=0.1)
    assert entra.requests[0][3] == pytest.approx(begin + 10.0)


async def test_timeout_facts_show_the_progress_of_the_request(entra, secrets):
    calls = []

    def pending_facts(_context, network, authority):
        calls.append((network.module, authority))
        return Facts(fault=Fault.DNS_TIMEOUT)

    cache = TokenCache(secrets, fetch=entra, reuse_policy=lambda *_: ReuseWindow(60.0, 10.0), pending_facts=pending_facts)
    entra.takes = 5.0
    assert (await token_for(cache, patience=1.0)).facts.fault is Fault.DNS_TIMEOUT
    assert calls == [(MODULE, CHALLENGE.authority)]
    await cache.aclose()


async def test_changed_secret_replaces_the_old_response(cache, entra, secrets):
    entra.replies = [REFUSED, GRANTED]
    assert (await token_for(cache)).token is None
    secrets.text = "n3w"
    assert (await token_for(cache)).token == "token-1"
    assert [secret for _, secret, *_ in entra.requests] == ["s3cret", "n3w"]
    assert [fetch.secret.text for fetches in cache._fetches.values() for fetch in fetches.values()] == ["n3w"]


async def test_request_with_old_secret_serves_only_its_waiters(cache, entra, secrets):
    entra.replies = [REFUSED, GRANTED]
    old = asyncio.create_task(token_for(cache))
    await asyncio.sleep(0.1)
    secrets.text = "n3w"
    new = await token_for(cache)
    assert ((await old).token, new.token) == (None, "token-1")
    assert (await token_for(cache)).token == "token-1"
    assert len(entra.requests) == 2


@pytest.mark.parametrize(
    "other",
    [
        {"challenge": replace(CHALLENGE, tenant="t2")},
        {"challenge": replace(CHALLENGE, resource="https://managedhsm.azure.net")},
        {"challenge": replace(CHALLENGE, authority="https://login.microsoftonline.us")},
        {"credential": replace(CREDENTIAL, name="other")},
        {"credential": replace(CREDENTIAL, client_id="d")},
        {"module": replace(MODULE, proxy=Proxy(url="http://proxy:3128"))},
        {"module": replace(MODULE, ca_file=Path("ca.pem"))},
        {"module": replace(MODULE, connect_to={"login.microsoftonline.com:443": "127.0.0.1:1"})},
    ],
    ids=["tenant", "resource", "authority", "credential", "client id", "proxy", "trust", "connect_to"],
)
async def test_different_token_inputs_are_not_shared(cache, other):
    results = await asyncio.gather(token_for(cache), token_for(cache, **other))
    assert {result.token for result in results} == {"token-0", "token-1"}


async def test_modules_with_the_same_route_share_a_token(cache, entra):
    await asyncio.gather(token_for(cache), token_for(cache, module=Module(name="other", algorithm="RSA-OAEP-256")))
    assert len(entra.requests) == 1


async def test_own_tenant_takes_precedence_over_the_challenge(cache, entra):
    homed = replace(CREDENTIAL, tenant_id="home")
    await token_for(cache, credential=homed)
    await token_for(cache, credential=homed, challenge=replace(CHALLENGE, tenant="t2"))
    assert len(entra.requests) == 1


async def test_token_max_age_applies_to_tokens_not_refusals(cache, entra):
    module = replace(MODULE, token_max_age=600.0)
    await token_for(cache, module=module)
    await asyncio.sleep(590.0)
    assert (await token_for(cache, module=module)).token == "token-0"
    await asyncio.sleep(20.0)
    entra.replies = [REFUSED]
    assert (await token_for(cache, module=module)).token is None
    await asyncio.sleep(60.0)
    await token_for(cache, module=module)
    assert len(entra.requests) == 3


async def test_invalidate_drops_tokens_older_than_the_window(cache):
    module = replace(MODULE, token_max_age=600.0)
    await token_for(cache, module=module)
    await asyncio.sleep(120.0)
    cache.invalidate(CREDENTIAL)
    assert (await token_for(cache, module=module)).token == "token-1"


async def test_invalidate_keeps_tokens_of_the_window(cache, entra):
    """Otherwise each target with refused tokens would fetch its own."""
    module = replace(MODULE, token_max_age=600.0)
    await token_for(cache, module=module)
    cache.invalidate(CREDENTIAL)
    assert (await token_for(cache, module=module)).token == "token-0"
    assert len(entra.requests) == 1


async def test_invalidate_without_tokens_does_nothing(cache, entra):
    cache.invalidate(CREDENTIAL)
    assert entra.requests == []


async def test_token_is_not_reused_in_its_last_minute(cache, entra):
    module = replace(MODULE, token_max_age=86_400.0)
    entra.lives = 600.0
    await token_for(cache, module=module)
    await asyncio.sleep(530.0)
    assert (await token_for(cache, module=module)).token == "token-0"
    await asyncio.sleep(15.0)
    assert (await token_for(cache, module=module)).token == "token-1"


async def test_short_lived_token_serves_waiters_only(cache, entra):
    entra.lives = 5.0
    results = await asyncio.gather(token_for(cache), token_for(cache))
    assert {result.token for result in results} == {"token-0"}
    assert (await token_for(cache)).token == "token-1"


async def test_concurrent_fresh_calls_share_one_request(cache):
    await token_for(cache)
    results = await asyncio.gather(*(token_for(cache, fresh=True) for _ in range(5)))
    assert {result.token for result in results} == {"token-1"}
    assert (await token_for(cache)).token == "token-1"


async def test_unreadable_secret_is_a_fact_without_a_request(cache, entra, secrets):
    secrets.failure = "file secrets/\x1bsql: no such file"
    result = await token_for(cache)
    assert (result.facts.fault, result.token) == (Fault.SECRET_UNREADABLE, None)
    assert "no such file" in result.facts.detail
    assert "\x1b" not in result.facts.detail
    assert not entra.requests


async def test_slow_secret_at_the_deadline_is_a_timeout(cache, entra, secrets):
    secrets.takes = 30.0
    begin = now()
    result = await token_for(cache, patience=2.0)
    assert (result.facts.fault, result.duration) == (Fault.SECRET_TIMEOUT, pytest.approx(2.0))
    assert result.facts.detail == "reading the secret file took too long"
    assert now() - begin == pytest.approx(2.0)
    assert not entra.requests


async def test_secret_without_a_thread_raises_pool_exhausted(cache, entra, secrets):
    async def starving(_credential):
        try:
            await asyncio.sleep(30.0)
        except asyncio.CancelledError as cancelled:
            raise cancelled from PoolExhausted("no thread of 1 was free")

    secrets.read = starving
    with pytest.raises(PoolExhausted):
        await token_for(cache, patience=1.0)
    assert not entra.requests


async def test_thread_shortage_is_raised_to_waiters_and_not_kept(cache, entra):
    entra.replies = [PoolExhausted("no thread"), GRANTED]
    outcomes = await asyncio.gather(token_for(cache), token_for(cache), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [PoolExhausted, PoolExhausted]
    assert (await token_for(cache)).token == "token-1"


async def test_request_beyond_its_deadline_is_abandoned(cache, entra):
    entra.takes = 3600.0
    with pytest.raises(TimeoutError):
        await token_for(cache, patience=100.0)
    entra.takes = 0.1
    assert (await token_for(cache)).token == "token-1"


async def test_responses_are_dropped_when_unusable(cache):
    for number in range(2000):
        await token_for(cache, challenge=replace(CHALLENGE, tenant=f"tenant-{number}"))
        assert sum(map(len, cache._fetches.values())) < 330
    await asyncio.sleep(120.0)
    assert not cache._fetches
    assert not cache._tasks._tasks


async def test_close_cancels_requests_and_answers_waiters(cache, entra):
    entra.takes = 5.0
    waiting = asyncio.create_task(token_for(cache))
    await asyncio.sleep(1.0)
    await cache.aclose()
    assert (await waiting).facts.fault is Fault.INTERNAL
    assert entra.cancelled == 1
    assert (await token_for(cache)).facts.fault is Fault.INTERNAL
    assert len(entra.requests) == 1


def test_window_is_the_shortest_interval_and_longest_timeout():
    proxied = Module(name="proxied", proxy=Proxy(url="http://proxy:3128"))
    targets = [
        a_target("a", interval=60.0, timeout=5.0),
        a_target("b", interval=30.0, timeout=2.0),
        a_target("c", interval=10.0, timeout=1.0, module="proxied"),
        a_target("d", interval=300.0, timeout=20.0, credential="other", next_credential="staged"),
    ]
    versions = (Retained(key_name="k", key_version="v", vault="x", credential="old"),)
    targets.append(a_target("e", interval=600.0, timeout=3.0, retained_versions=versions, credential="other"))
    policy = reuse_policy(a_config(*targets, modules=[MODULE, proxied], settings=Settings(interval=45.0, timeout=7.0)))

    def window(name, module=MODULE):
        return policy(replace(CREDENTIAL, name=name), module)

    assert window("sql") == ReuseWindow(30.0, 5.0)
    assert window("sql", proxied) == ReuseWindow(10.0, 1.0)
    assert window("other") == ReuseWindow(300.0, 20.0)
    assert window("staged") == ReuseWindow(300.0, 20.0)
    assert window("old") == ReuseWindow(600.0, 3.0)
    assert window("on demand") == ReuseWindow(45.0, 7.0)


# Which token a SQL Server needs, and when a missing one is a refusal.

TENANT = "11111111-2222-3333-4444-555555555555"
PUBLIC = "https://database.windows.net"


@pytest.mark.parametrize(
    ("authority", "resource"),
    [
        (None, PUBLIC),
        ("https://login.microsoftonline.com", PUBLIC),
        ("https://login.microsoftonline.us/", "https://database.usgovcloudapi.net"),
        ("https://login.partner.microsoftonline.cn", "https://database.chinacloudapi.cn"),
        ("https://login.chinacloudapi.cn", "https://database.chinacloudapi.cn"),
    ],
)
def test_resource_is_that_of_the_cloud(authority, resource):
    challenge = database_challenge(a_credential(tenant_id=TENANT), Module(name="default", authority_host=authority))
    assert (challenge.resource, challenge.tenant) == (resource, TENANT)
    assert challenge.authority == (authority or "https://login.microsoftonline.com")


@pytest.mark.parametrize("kind", CredentialKind)
def test_identity_of_the_host_needs_no_tenant(kind):
    challenge = database_challenge(a_credential(kind=kind), Module(name="default"))
    assert (challenge is not None) == (kind in (CredentialKind.MANAGED_IDENTITY, CredentialKind.DEFAULT))


async def test_credential_without_a_tenant_sends_no_request():
    requests = []
    tokens = DatabaseTokens(a_config(a_target()), on_request=lambda: requests.append(1))
    result = await tokens.token_of("sql")
    await tokens.aclose()
    assert (result.token, result.facts.detail) == (None, "credential sql has no tenant_id: add it")
    assert requests == []
    assert not is_refusal(result.facts, a_credential())


@pytest.fixture
async def tokens(monkeypatch):
    """Make tokens whose pool runs each call at once, or never if `hangs`."""
    made = []

    async def run(_, function, *args):
        await asyncio.sleep(3600.0 * begin.hangs)
        return function(*args)

    def begin(module):
        config = a_config(credentials=[a_credential(tenant_id=TENANT)], modules=[module])
        made.append(DatabaseTokens(config, on_request=lambda: pytest.fail("a request")))
        return made[-1]

    begin.hangs = False
    monkeypatch.setattr(DaemonThreadPool, "run", run)
    yield begin
    for one in made:
        await one.aclose()


async def test_unusable_authorities_are_an_unreadable_file(tokens, tmp_path):
    made = tokens(Module(name="default", ca_file=tmp_path / "ca.pem"))
    for _ in range(2):
        with pytest.raises(FileUnreadableError, match=r"module default: .*ca\.pem holds no usable certificate authority"):
            await made.token_of("sql")


async def test_authorities_on_a_dead_mount_do_not_stop_the_loop(tokens, monkeypatch):
    monkeypatch.setattr(tokens, "hangs", True)
    made, began = tokens(Module(name="default")), asyncio.get_running_loop().time()
    results = await asyncio.gather(*(made.token_of("sql") for _ in range(8)), return_exceptions=True)
    assert {(type(error), str(error)) for error in results} == {
        (FileUnreadableError, "module default: its authorities were not read within 10 s")
    }
    assert asyncio.get_running_loop().time() - began == pytest.approx(10.0)


async def test_network_for_tokens_spares_no_other_names(tokens, monkeypatch):
    loaded = []
    monkeypatch.setattr("exporter.clients.http.network.spare", lambda _: pytest.fail("other names"))
    monkeypatch.setattr(TokenCache, "token", lambda *_, **__: asyncio.sleep(0, "a token"))
    monkeypatch.setattr(
        tokens_module, "make_network", lambda *found, **more: loaded.append(found) or make_network(*found, **more)
    )
    made = tokens(module := Module(name="default"))
    assert await asyncio.gather(made.token_of("sql"), made.token_of("sql")) == ["a token"] * 2
    assert loaded == [(module,)]


OWN = {CredentialKind.CLIENT_SECRET, CredentialKind.CONNECTOR_SECRET, CredentialKind.CLIENT_CERTIFICATE}


@pytest.mark.parametrize(
    ("facts", "kinds"),
    [
        *((Facts(fault=Fault.HTTP_STATUS, status=status), OWN) for status in (400, 401, 403)),
        (Facts(), set()),
        (Facts(fault=Fault.CONNECT_TIMEOUT), set()),
        (Facts(fault=Fault.PROXY_STATUS, status=407), set()),
        *((Facts(fault=Fault.HTTP_STATUS, status=status), set()) for status in (302, 404, 405, 408, 413, 429, 451, 500, 503)),
    ],
)
def test_refusal_is_an_answer_about_an_own_secret(facts, kinds):
    assert {kind for kind in CredentialKind if is_refusal(facts, a_credential(kind=kind))} == kinds
