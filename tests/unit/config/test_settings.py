"""Every setting is read by the code that it is for; secrets are read whole, refreshed, and never shown."""

import ast
import asyncio
import inspect
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

import exporter
from exporter.cli import check
from exporter.config import fields as fields_module
from exporter.config import settings
from exporter.config.load import load_config
from exporter.config.schema import dump_yaml, effective_pieces
from exporter.config.settings import Credential, Module, SecretSource, SecretUnreadableError, Target, read_secret, setting
from exporter.core.connector import ConnectorSecret
from exporter.core.values import CredentialKind
from exporter.probing.secrets import CredentialSecret, SecretCache
from exporter.runtime.tasks import DaemonThreadPool, PoolExhausted, shortage_of
from tests.support import factories

# Every setting is read by the code that it is for, not only by the code that loads and prints it.

PACKAGE = Path(exporter.__file__).parent


# Variables carry the word of their class. Another word for a class:
WORDS = {"Retained": "old", "Invented": "target", "SqlServer": "server"}


# The loader moves these values to another attribute.
MOVED = {"Settings.generation": "Target.generation", "ModuleTls.ca_file": "Module.ca_file"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invented(Target):
    unread: bool = setting(fields_module.BOOL, "A setting that no code reads.", default=False)


def attributes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield each attribute that the code reads, after the last part of the expression before the dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            owner = node.value
            yield owner.attr if isinstance(owner, ast.Attribute) else ast.unparse(owner), node.attr


def read_in(files: Iterator[Path]) -> frozenset[tuple[str, str]]:
    return frozenset(pair for file in files for pair in attributes(ast.parse(file.read_text(encoding="utf-8"))))


def own_reads(model: type) -> dict[str, set[str]]:
    """The attributes that each method of the class reads of its own object, by the name of the method."""
    methods = [node for node in ast.walk(ast.parse(inspect.getsource(model))) if isinstance(node, ast.FunctionDef)]
    return {method.name: {name for owner, name in attributes(method) if owner == "self"} for method in methods}


def models() -> Iterator[type]:
    """Every dataclass with settings."""
    yield from (each for each in vars(settings).values() if is_dataclass(each) and each.__module__ == settings.__name__)


def unread(model: type, reads: frozenset[tuple[str, str]]) -> set[str]:
    """The settings of a dataclass that no code reads of a variable of this class, directly or by a method."""
    words = model.__name__.lower(), WORDS.get(model.__name__, model.__name__.lower())
    found = {name for owner, name in reads if any(word in owner.lower() for word in words)}
    for method, names in own_reads(model).items():
        found |= names if method in found else set()
    return {f"{model.__name__}.{each.name}" for each in fields(model) if each.metadata and each.name not in found}


@pytest.fixture(scope="module")
def reads():
    config = PACKAGE / "config"
    return read_in(path for path in PACKAGE.rglob("*.py") if not path.is_relative_to(config) or path.name == "usage.py")


def test_every_setting_is_read_outside_the_configuration(reads):
    missing = {name for model in models() for name in unread(model, reads)}
    assert missing == set(MOVED)


def test_setting_that_no_code_reads_is_found(reads):
    assert unread(Invented, reads) == {"Invented.unread"}


# Secrets are read whole, refreshed, and never shown.

MARK = "S3CRET-MARK"


CLIENT_ID = "66666666777788889999000000000000"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "secret"


@pytest.fixture
def pool():
    pool = DaemonThreadPool(2, name="secrets")
    yield pool
    pool.close()


WITH_CREDENTIAL = """
credentials: {app: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: "${CREDENTIALS_DIRECTORY}/app"}}
global: {connector_generation: classic}
targets: [{name: a, vault: contoso-prod, key: Key/0123456789abcdef0123456789abcdef, credential: app}]
"""


def test_path_in_the_credentials_folder_follows_the_environment(tmp_path, monkeypatch):
    for unit in ("one", "two"):
        (tmp_path / unit).mkdir()
        (tmp_path / unit / "app").write_text(MARK)
        (tmp_path / unit / "app").chmod(0o600)
    (tmp_path / "ekm.yml").write_text(WITH_CREDENTIAL)
    for unit in ("one", "two"):
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / unit))
        loaded = load_config(tmp_path / "ekm.yml")
        assert loaded.problems == ()
        assert loaded.config.credentials["app"].secret.file == tmp_path / unit / "app"


def test_path_in_the_credentials_folder_needs_the_variable(tmp_path, monkeypatch):
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    (tmp_path / "ekm.yml").write_text(WITH_CREDENTIAL)
    [problem] = load_config(tmp_path / "ekm.yml").problems
    assert "CREDENTIALS_DIRECTORY is not set" in str(problem)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def cache(pool, clock):
    return SecretCache(pool, clock=clock)


def credential(file, **others):
    return Credential(name="c", kind=CredentialKind.CLIENT_SECRET, secret=SecretSource(file=file), **others)


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"abc", "abc"),
        (b"abc\n", "abc"),
        (b"abc\r\n", "abc"),
        (b"abc\r", "abc"),
        (b" a b ", " a b "),
        ("päss\n".encode(), "päss"),
    ],
)
def test_one_final_line_break_is_not_part_of_the_secret(content, secret, file):
    file.write_bytes(content)
    assert read_secret(SecretSource(file=file)) == secret


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"  \r\n", "is empty"),
        (b"S3CRET-MARK\n\n", "contains more than one line: keep one"),
        (b"S3CRET-MARK\nmore\n", "contains more than one line: keep one"),
        (b"\xff\xfeS3CRET-MARK", "is not UTF-8 text: save the file as UTF-8"),
        (b"\xef\xbb\xbfS3CRET-MARK", "starts with a byte order mark: save it without one"),
        (b"S3CRET-MARK\x00", "contains a control character: remove it"),
        (b"S3CRET-MARK" * 10_000, "larger than 64 KiB"),
    ],
)
def test_unusable_secret_is_reported_without_its_content(content, what, file):
    file.write_bytes(content)
    with pytest.raises(SecretUnreadableError) as caught:
        read_secret(SecretSource(file=file))
    assert caught.value.what == what
    assert str(caught.value) == f"file {file}: {what}"
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_secret_comes_from_the_environment(monkeypatch):
    monkeypatch.setenv("EKM_TEST_ONE", "abc\n")
    assert read_secret(SecretSource(env="EKM_TEST_ONE")) == "abc"
    monkeypatch.delenv("EKM_TEST_ONE")
    with pytest.raises(SecretUnreadableError, match="environment variable EKM_TEST_ONE: is not set"):
        read_secret(SecretSource(env="EKM_TEST_ONE"))


async def test_replaced_secret_is_used_within_a_second(cache, clock, file):
    file.write_text("old\n")
    before = await cache.current(credential(file))
    file.write_text("new\n")
    clock.now += 0.9
    assert await cache.current(credential(file)) is before
    assert cache.find(credential(file)) is before
    clock.now += 0.1
    assert cache.find(credential(file)) is None
    after = await cache.current(credential(file))
    assert (before.text, after.text) == ("old", "new")
    assert before.fingerprint != after.fingerprint


async def test_swapped_symbolic_link_is_a_change(cache, clock, tmp_path):
    # as in Kubernetes, with equal dates and sizes: secret -> ..data/secret, ..data -> ..first, and ..data is replaced by a rename
    for name, text in (("..first", "1111"), ("..second", "2222")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "secret").write_text(text)
        os.utime(tmp_path / name / "secret", ns=(10**18, 10**18))
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "secret").symlink_to("..data/secret")
    before = await cache.current(credential(tmp_path / "secret"))
    (tmp_path / "..new").symlink_to("..second")
    (tmp_path / "..new").rename(tmp_path / "..data")
    clock.now += 1
    after = await cache.current(credential(tmp_path / "secret"))
    assert (before.text, after.text) == ("1111", "2222")


async def test_unchanged_secret_keeps_its_fingerprint(cache, clock, file):
    file.write_text("same\n")
    before = await cache.current(credential(file))
    clock.now += 5
    file.write_text("same\r\n")
    assert (await cache.current(credential(file))).fingerprint == before.fingerprint


async def test_fingerprints_of_two_caches_differ(cache, pool, file):
    file.write_text("same\n")
    mine, other = await cache.current(credential(file)), await SecretCache(pool).current(credential(file))
    assert mine.text == other.text
    assert mine.fingerprint != other.fingerprint


async def test_removed_and_restored_secret_changes_the_value_twice(cache, clock, file):
    file.write_text("one\n")
    first = await cache.current(credential(file))
    file.unlink()
    clock.now += 1
    gone = await cache.current(credential(file))
    assert (gone.text, gone.failure) == (None, f"file {file}: no such file")
    assert gone.fingerprint != first.fingerprint
    file.write_text("one\n")
    clock.now += 1
    assert await cache.current(credential(file)) == first


async def test_many_waiters_share_one_read(clock, file):
    calls = []

    class CountingPool(DaemonThreadPool):
        async def run(self, function, *args):
            calls.append(args)
            return await super().run(function, *args)

    pool = CountingPool(2, name="secrets")
    file.write_text("one\n")
    cache = SecretCache(pool, clock=clock)
    found = await asyncio.gather(*(cache.current(credential(file)) for _ in range(50)))
    assert {secret.text for secret in found} == {"one"}
    assert len(calls) == 1
    pool.close()


async def test_closed_thread_pool_keeps_the_last_secret(cache, pool, clock, file):
    file.write_text("one\n")
    first = await cache.current(credential(file))
    pool.close()
    clock.now += 1
    assert await cache.current(credential(file)) is first
    with pytest.raises(PoolExhausted):
        await SecretCache(pool, clock=clock).current(credential(file))


async def test_every_waiter_for_a_thread_reports_the_shortage(clock, file):
    file.write_text("one\n")
    pool = DaemonThreadPool(1, name="secrets")
    taken, release = threading.Event(), threading.Event()

    def block():
        taken.set()
        release.wait()

    blocker = asyncio.create_task(pool.run(block))
    await asyncio.get_running_loop().run_in_executor(None, taken.wait)
    cache = SecretCache(pool, clock=clock)
    waiters = [asyncio.create_task(cache.current(credential(file))) for _ in range(2)]
    await asyncio.sleep(0)
    for waiter in reversed(waiters):
        waiter.cancel()
    for waiter in waiters:
        with pytest.raises(asyncio.CancelledError) as caught:
            await waiter
        assert shortage_of(caught.value)
    release.set()
    await blocker
    assert (await cache.current(credential(file))).text == "one"
    pool.close()


async def test_new_certificate_changes_the_fingerprint(cache, clock, file, tmp_path):
    file.write_text("password\n")
    certificate = tmp_path / "sp.pem"
    with_certificate = Credential(
        name="c", kind=CredentialKind.CLIENT_CERTIFICATE, certificate_file=certificate, password=SecretSource(file=file)
    )
    missing = await cache.current(with_certificate)
    assert missing.failure == f"file {certificate}: no such file"
    prints = []
    for content in (b"one", b"two"):
        certificate.write_bytes(content)
        clock.now += 1
        secret = await cache.current(with_certificate)
        assert (secret.text, secret.failure) == ("password", "")
        prints.append(secret.fingerprint)
    assert prints[0] != prints[1]


async def test_identity_without_a_secret_has_no_text_and_no_failure(cache):
    secret = await cache.current(Credential(name="vm", kind=CredentialKind.MANAGED_IDENTITY))
    assert (secret.text, secret.failure) == (None, "")
    assert secret.fingerprint


async def test_reload_drops_the_secrets_of_removed_credentials(cache, file):
    file.write_text("one\n")
    kept, dropped = credential(file), credential(file, tenant_id="t")
    first = await cache.current(kept)
    again = await cache.current(dropped)
    file.write_text("two\n")
    cache.keep_only([kept])
    assert await cache.current(kept) is first
    assert (await cache.current(dropped)).text == "two" != again.text


def test_repr_of_a_secret_does_not_contain_it():
    assert MARK not in repr(CredentialSecret(text=MARK, fingerprint="f"))
    assert MARK not in repr(ConnectorSecret("id", MARK))


def test_check_prints_no_secret_of_a_good_configuration(tmp_path, capsys):
    for name, secret in (("plain", MARK), ("typed", CLIENT_ID + MARK)):
        (tmp_path / name).write_text(secret + "\n")
    path = tmp_path / "ekm.yml"
    path.write_text(
        "credentials:\n"
        "  a: {type: client_secret, client_id: 66666666-7777-8888-9999-000000000000, client_secret_file: plain}\n"
        "  b: {type: connector_secret, secret_file: typed}\n"
        "modules: {default: {proxy: {url: 'http://p:3128', username: u, password_file: plain}}}\n"
        "targets:\n  - {name: a, vault: contoso, key: k/1, credential: a}\n  - {name: b, vault: contoso, key: k/1, credential: b}\n"
    )
    assert check.run(SimpleNamespace(config_file=path, web_config_file=None, print_effective=True, cost=True, verbose=True)) == 0
    printed = "".join(capsys.readouterr())
    assert "client_secret_file" in printed
    assert "S3CRET" not in printed
    assert CLIENT_ID not in printed
    assert "S3CRET" not in repr(load_config(path))


def test_unreadable_secret_file_gets_one_line(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "secret").write_text(MARK)
    path = tmp_path / "ekm.yml"
    path.write_text(
        "credentials: {c: {type: connector_secret, secret_file: locked/secret/below}}\n"
        "targets: [{name: a, vault: contoso, key: k/1, credential: c}]\n"
    )
    [problem] = load_config(path).problems
    assert (problem.line, problem.column, problem.message) == (1, 56, os.strerror(20).lower())


# The effective configuration in pieces: the same text as in one, and no piece of thousands of values.

MANY = 2000


HOSTS = {f"contoso-{number:04}.vault.azure.net:443": "10.0.0.4:8443" for number in range(MANY)}


SERVERS = tuple({"sql_instance": f"SQL{number}", "host": f"n{number}"} for number in range(MANY))


LABELS = {f"label{number}": str(number) for number in range(MANY)}


def large():
    """A configuration whose module has thousands of addresses, and whose target has as many SQL Servers and labels."""
    module = Module(name="default", connect_to=HOSTS)
    targets = factories.a_target("first", instances=SERVERS, labels=LABELS), factories.a_target("second")
    return factories.a_config(*targets, modules=(module, Module(name="other")))


def test_no_piece_has_more_than_a_few_values():
    assert max(len(piece) for piece in effective_pieces(large())) < 5000


def test_pieces_are_the_text_of_the_whole_configuration():
    text = dump_yaml(large())
    found = yaml.safe_load(text)
    assert list(found["modules"]["default"]["connect_to"].items()) == list(HOSTS.items())
    assert tuple(found["targets"][0]["instances"]) == SERVERS
    assert list(found["targets"][0]["labels"].items()) == list(LABELS.items())
    assert [each["name"] for each in found["targets"]] == ["first", "second"]
    assert text == yaml.dump(found, Dumper=yaml.SafeDumper, sort_keys=False, allow_unicode=True, width=130)


@pytest.mark.parametrize("name", ["null", "1.5", "a" * 128, "a" * 129])  # YAML writes a key of more than 128 characters otherwise
def test_module_keeps_its_name_in_the_text(name):
    module = Module(name=name, connect_to=HOSTS)
    text = dump_yaml(factories.a_config(factories.a_target(), modules=(module,)))
    assert yaml.safe_load(text)["modules"][name]["connect_to"] == HOSTS


def test_a_path_that_is_no_utf8_is_shown_as_text_that_can_be_written():
    credential = factories.a_credential(file=Path("secret\udcff"))
    assert credential.secret_path.encode() == rb"secret\udcff"
