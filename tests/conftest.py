"""What every test starts from: an environment without settings of proxies, identities or certificates, and a clean process."""

import gc
import logging
import os
import re

import pytest
from hypothesis import HealthCheck, settings

from exporter.core.secrets import KNOWN_SECRETS
from exporter.runtime import process
from tests.support import sharing
from tests.system.container.summary import pytest_terminal_summary  # noqa: F401 - a hook

_FOREIGN = re.compile(
    r"(?i)(https?|all|no)_proxy|(azure|msi|identity|imds|arm|ekm)_.*|ssl_cert_(file|dir)|(requests|curl)_ca_bundle|notify_socket",
)

# The same examples on every machine, at any speed. The fuzzer searches for new ones.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    """A developer's proxy, cloud identity or certificate store must not decide what a test sees."""
    clear_foreign_variables(monkeypatch)


def clear_foreign_variables(monkeypatch):
    for name in list(os.environ):
        if _FOREIGN.fullmatch(name):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def known_secrets():
    """A secret of one test must not be masked in the texts of another."""
    KNOWN_SECRETS.__init__()
    yield
    KNOWN_SECRETS.__init__()


@pytest.fixture(autouse=True, scope="session")
def pace_of_the_collector():
    """An exporter that is run in this process must not search the objects of a whole run, and leaves Python's pace."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "collect_rarely", lambda: None)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol():
    """A command that is run in this process sets up its log, and another test must not inherit level or handlers."""
    log = logging.getLogger()
    level, handlers = log.level, list(log.handlers)
    result = yield
    if log.level != level:  # setting it makes every logger forget its level
        log.setLevel(level)
    log.handlers[:] = handlers
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Hands out what stays together, in the order of the table."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - only a run side by side needs it

    class BySharing(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return sharing.together(nodeid)

    config.option.loadscopereorder = False  # the most tests are not the most time
    return BySharing(config, log)


def pytest_addoption(parser):
    parser.addoption("--run", default=",".join(sharing.RUNS), help="only the tests of these runs (tests/support/sharing.py)")


def pytest_ignore_collect(collection_path, config):
    """A file of another run is not even imported."""
    row = sharing.row_of(collection_path.relative_to(config.rootpath).as_posix())
    return True if collection_path.is_file() and row.run not in config.option.run.split(",") else None


def pytest_collection_finish():
    """The collector does not search the thousands of collected tests again and again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: sharing.order(item.nodeid))
