"""Users and passwords, the limits of guessing, headers, the rate limit, and access to pages with authentication."""

import asyncio
import logging

import bcrypt
import pytest

from exporter.web import access_control
from exporter.web.access import is_refused
from exporter.web.access_control import TOO_MANY_ATTEMPTS, UNAUTHORIZED, AccessControl, Passwords, TokenBucket, credentials_of
from exporter.web.connections import ConnectionLimiter
from exporter.web.options import web_options
from exporter.web.tls import RateLimit
from tests.support.web_server import until
from tests.unit.web.serving import basic, protected, request

RIGHT = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
HASH = "$2y$10$mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze"
TLS = "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\n"
VERIFY = "  client_ca_file: ca.pem\n  client_auth_type: "


@pytest.mark.parametrize(
    ("text", "open_to_pages"),
    [
        (f"basic_auth_users: {{alice: {HASH}}}", True),
        (TLS + VERIFY + "RequireAndVerifyClientCert", True),
        (TLS + VERIFY + "VerifyClientCertIfGiven", False),
        (TLS, False),
        ("rate_limit: {interval: 1s, burst: 1}", False),
    ],
)
def test_pages_on_other_addresses_need_authentication(folder, text, open_to_pages):
    access = AccessControl(folder.path / "web.yml", folder.load(text))
    options = web_options(access_control=access)
    for path in ("/", "/config", "/-/reload"):
        assert is_refused(path, ("10.0.0.5", 10377), options) is not open_to_pages
    assert not is_refused("/metrics", ("10.0.0.5", 10377), options)


def test_configuration_with_problems_has_no_access_control(folder):
    with pytest.raises(ValueError, match="cannot use a web configuration with problems"):
        AccessControl(folder.path / "web.yml", folder.load("basic_auth_users: {a: b}"))


@pytest.mark.parametrize(
    ("text", "requests", "known"),
    [
        ("{}", [("/", None), ("/nowhere", None)], False),
        ("{}", [("/metrics", None)], True),
        (f"basic_auth_users: {{alice: {HASH}}}", [("/metrics", None), ("/metrics", "wrong")], False),
        (f"basic_auth_users: {{alice: {RIGHT}}}", [("/", "right")], True),
    ],
    ids=["other pages", "a scrape", "refused", "a login"],  # a hash with a new salt must not be part of a name
)
async def test_scrape_or_login_makes_an_address_known(folder, text, requests, known):
    limiter = ConnectionLimiter()
    async with protected(folder, text, limiter=limiter) as (url, _):
        for path, password in requests:
            await request(url, path, user=password and "alice", password=password)
        assert ("127.0.0.1" in limiter.known) is known


async def test_configured_headers_override_default_headers(folder):
    text = "http_server_config: {headers: {X-Frame-Options: sameorigin, Strict-Transport-Security: max-age=60}}"
    async with protected(folder, text) as (url, access):
        for path in ("/", "/metrics", "/nowhere"):
            _, headers, _ = await request(url, path)
            assert headers.getall("X-Frame-Options") == ["sameorigin"]
            assert headers["Strict-Transport-Security"] == "max-age=60"
            assert headers["X-Content-Type-Options"] == "nosniff"
        folder.write("{}")
        await access.refresh()
        assert "Strict-Transport-Security" not in (await request(url))[1]


async def test_requests_beyond_the_rate_limit_are_refused(folder):
    async with protected(folder, "rate_limit: {interval: 1h, burst: 3}") as (url, access):
        answers = [await request(url, "/-/healthy") for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
        assert answers[-1][1]["Retry-After"] == "1"
        folder.write("rate_limit: {interval: 0}")
        await access.refresh()
        assert (await request(url))[0] == 200


def test_token_bucket_refills_up_to_its_capacity():
    now = [0.0]
    bucket = TokenBucket(RateLimit(interval=2.0, burst=2), clock=lambda: now[0])
    assert [bucket.allow() for _ in range(3)] == [True, True, False]
    now[0] = 2.0
    assert [bucket.allow() for _ in range(2)] == [True, False]
    now[0] = 1000.0
    assert [bucket.allow() for _ in range(3)] == [True, True, False]


async def test_changed_file_is_reloaded(folder, monkeypatch):
    monkeypatch.setattr("exporter.web.access_control.READ_AGAIN_SECONDS", 0.01)
    async with protected(folder, "{}") as (_, access):
        folder.write(f"basic_auth_users: {{alice: {HASH}}}")
        await until(lambda: access.config.authenticates_every_client)


PASSWORD = "corr:ect hörse"


def hashed(password, cost=4):
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


USERS = {"alice": hashed(PASSWORD), "bob": hashed("b" * 72)}


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (basic("alice", PASSWORD), ("alice", PASSWORD.encode())),
        (basic("", ""), ("", b"")),
        (basic("a", "").replace("Basic", "bAsIc"), ("a", b"")),
        ("", None),
        ("Basic", None),
        ("Basic !!!", None),
        ("Basic YWxpY2U=", None),  # no colon
        ("Basic /zph", None),  # the user is no text
        ("Bearer YTpi", None),
    ],
)
def test_authorization_header_is_parsed_or_none(header, found):
    assert credentials_of(header) == found


@pytest.fixture
async def counted(monkeypatch):
    """Yield a password check and the number of computed hashes."""
    calls = []
    real = access_control._matches
    monkeypatch.setattr(access_control, "_matches", lambda password, hashed: calls.append(hashed) or real(password, hashed))
    cache = Passwords()
    yield cache, calls
    await cache.aclose()


@pytest.mark.parametrize(
    ("user", "password", "answer"),
    [
        ("alice", PASSWORD, None),
        ("alice", "wrong", UNAUTHORIZED),
        ("alice", "", UNAUTHORIZED),
        ("unknown", PASSWORD, UNAUTHORIZED),
        ("bob", "b" * 72, None),
        ("bob", "b" * 80, None),  # as in Go: bcrypt reads 72 bytes
        ("alice", "a\0b", UNAUTHORIZED),
    ],
)
async def test_only_the_password_of_the_user_is_accepted(counted, user, password, answer):
    cache, _ = counted
    assert await cache.check(USERS, user, password.encode(), address="a") is answer


@pytest.mark.parametrize("prefix", ["$2a$", "$2b$", "$2y$"])
async def test_each_common_bcrypt_variant_is_accepted(counted, prefix):
    users = {"alice": USERS["alice"].replace("$2b$", prefix)}
    assert await counted[0].check(users, "alice", PASSWORD.encode(), address="a") is None


async def test_accepted_password_is_cached_until_its_hash_changes(counted):
    cache, calls = counted
    for _ in range(5):
        assert await cache.check(USERS, "alice", PASSWORD.encode(), address="a") is None
    assert len(calls) == 1
    changed = {"alice": hashed("another")}
    assert await cache.check(changed, "alice", PASSWORD.encode(), address="a") is UNAUTHORIZED
    assert await cache.check({}, "alice", PASSWORD.encode(), address="a") is UNAUTHORIZED


async def test_an_unknown_user_costs_as_much_as_a_known_one(counted):
    cache, calls = counted
    users = {"alice": hashed(PASSWORD, 5)}
    for user in ("alice", "unknown", "unknown"):
        assert await cache.check(users, user, b"wrong", address="a") is UNAUTHORIZED
    assert [hashed[4:6] for hashed in calls] == [b"05"] * 3


async def test_an_unknown_user_is_refused_whatever_hash_agrees(counted, monkeypatch):
    monkeypatch.setattr(access_control, "_matches", lambda _password, _hashed: True)
    assert await counted[0].check(USERS, "unknown", b"any", address="a") is UNAUTHORIZED


async def test_simultaneous_equal_passwords_are_hashed_once(counted):
    cache, calls = counted
    checks = [cache.check(USERS, "alice", PASSWORD.encode(), address="a") for _ in range(50)]
    assert set(await asyncio.gather(*checks)) == {None}
    assert len(calls) == 1


async def test_queued_guesses_of_one_address_do_not_block_another(counted):
    cache, calls = counted
    guesses = [cache.check(USERS, "alice", f"guess {number}".encode(), address="attacker") for number in range(100)]
    tasks = [asyncio.create_task(guess) for guess in guesses]
    await asyncio.sleep(0)
    assert await cache.check(USERS, "alice", PASSWORD.encode(), address="prometheus") is None
    answers = await asyncio.gather(*tasks)
    assert answers.count(UNAUTHORIZED) == len(calls) - 1 == access_control.MOST_WAITING_OF_ONE_ADDRESS
    assert answers.count(TOO_MANY_ATTEMPTS) == 100 - access_control.MOST_WAITING_OF_ONE_ADDRESS


async def test_known_password_is_accepted_during_many_guesses(counted):
    cache, calls = counted
    await cache.check(USERS, "alice", PASSWORD.encode(), address="prometheus")
    tasks = [asyncio.create_task(cache.check(USERS, "alice", b"%d" % number, address=str(number))) for number in range(400)]
    await asyncio.sleep(0)
    assert await cache.check(USERS, "alice", PASSWORD.encode(), address="prometheus") is None
    answers = await asyncio.gather(*tasks)
    assert answers.count(UNAUTHORIZED) == access_control.MOST_WAITING
    assert answers.count(TOO_MANY_ATTEMPTS) == 400 - access_control.MOST_WAITING
    assert len(calls) == 1 + access_control.MOST_WAITING


async def test_first_login_precedes_further_guesses_of_other_addresses(counted):
    cache, calls = counted

    def guesses(number_of_guess):
        wrong = f"guess {number_of_guess}".encode()
        return [cache.check(USERS, "alice", wrong + b"%d" % source, address=f"127.0.1.{source}") for source in range(100)]

    await asyncio.gather(*guesses(0))
    storm = [asyncio.create_task(each) for number in range(1, 5) for each in guesses(number)]
    await asyncio.sleep(0)
    before = len(calls)
    assert await cache.check(USERS, "alice", PASSWORD.encode(), address="127.0.0.2") is None
    assert len(calls) - before <= 2  # the first guess is already being checked
    await cache.aclose()
    await asyncio.gather(*storm, return_exceptions=True)


async def test_full_queue_drops_a_guess_of_the_worst_address(counted, monkeypatch):
    monkeypatch.setattr(access_control, "MOST_WAITING", 2)
    cache, _ = counted
    await cache.check(USERS, "alice", b"guess", address="worst")
    waiting = [
        asyncio.create_task(cache.check(USERS, "alice", b"%d" % number, address=address))
        for number, address in enumerate(("worst", "new", "newer"))
    ]
    wrong, busy = UNAUTHORIZED, TOO_MANY_ATTEMPTS
    assert await asyncio.gather(*waiting) == [busy, wrong, wrong]


async def test_right_password_ends_the_count_of_its_address(counted):
    cache, calls = counted
    for password in (b"guess", PASSWORD.encode()):
        await cache.check(USERS, "alice", password, address="a")
    await cache.check(USERS, "alice", b"another guess", address="b")
    guesses = (("alice", "new"), ("alice", "b"), ("bob", "a"))  # the first one is being checked while the others wait
    await asyncio.gather(
        *(cache.check(USERS, user, b"guess of " + address.encode(), address=address) for user, address in guesses)
    )
    assert calls[-2:] == [USERS[user].encode() for user in ("bob", "alice")]


async def test_counted_addresses_are_bounded(counted, monkeypatch):
    monkeypatch.setattr(access_control, "_MOST_COUNTED", 2)
    cache, _ = counted
    for number in range(4):
        await cache.check(USERS, "alice", b"%d" % number, address=str(number))
    assert list(cache._wrong) == ["2", "3"]


async def test_disconnected_client_cancels_no_check_of_others(counted):
    cache, _ = counted
    gone, stays = (asyncio.create_task(cache.check(USERS, "alice", PASSWORD.encode(), address="a")) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert await stays is None


def text_of(users):
    return "basic_auth_users:\n" + "".join(f"  {user}: {hash_}\n" for user, hash_ in users.items())


async def test_every_path_needs_a_password(folder):
    async with protected(folder, text_of(USERS)) as (url, _):
        query = "/probe?target=contoso-key0"
        for path in ("/", "/metrics", query, "/-/healthy", "/config", "/nowhere", "/static/style.css", "/docs/"):
            status, headers, text = await request(url, path)
            assert (status, text) == (401, "Unauthorized\n")
            assert headers["WWW-Authenticate"].startswith("Basic realm=")
            assert (await request(url, path, user="alice", password="wrong"))[0] == 401
        assert (await request(url, "/", user="alice", password=PASSWORD))[0] == 200


async def test_changed_users_apply_without_a_restart(folder):
    async with protected(folder, text_of(USERS)) as (url, access):
        assert (await request(url, user="alice", password=PASSWORD))[0] == 200
        folder.write(text_of({"carol": hashed("new")}))
        await access.refresh()
        assert (await request(url, user="alice", password=PASSWORD))[0] == 401
        assert (await request(url, user="carol", password="new"))[0] == 200
        folder.write("")
        await access.refresh()
        assert (await request(url))[0] == 401


async def test_wrong_passwords_are_one_line_without_user_or_password(folder, caplog):
    caplog.set_level(logging.INFO)
    async with protected(folder, text_of(USERS)) as (url, _):
        for number in range(5):
            await request(url, user="MARKED-user", password=f"MARKED-{number}")
    lines = [record for record in caplog.records if record.getMessage() == "wrong user or password"]
    assert [record.fields["client"] for record in lines] == ["127.0.0.1"]
    assert "MARKED" not in caplog.text
