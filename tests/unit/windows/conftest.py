"""A stand-in for Windows: its service manager and the surroundings of an installation."""

from pathlib import Path

import pytest

from exporter.windows import install
from exporter.windows.rules import ServiceState
from exporter.windows.service import RELOAD, RUNNING, START_PENDING, STOP, STOP_PENDING, STOPPED


class Windows:
    """Service manager and surroundings; `done` has what was requested of them, in order."""

    def __init__(self):
        self.done, self.service, self.current = [], None, ServiceState(STOPPED)
        self.coming = [ServiceState(START_PENDING), ServiceState(RUNNING)]  # after a start
        self.stops, self.failing, self.failure = True, None, None

    def do(self, step, *arguments):
        self.done.append((step, *arguments) if arguments else step)
        if step == self.failing:
            self.failing = None  # the way back goes the same step
            raise self.failure

    def find(self, _name):
        return self.service

    def save(self, wanted):
        self.do("save", wanted.command)
        self.service = wanted
        return ("a warning",)

    def set_restarts(self, _name, seconds):
        self.do("restarts", *seconds)
        return ("no restarts",) if seconds else ()

    def state(self, _name):
        if self.service is None:
            return None
        if self.coming and self.current.state in (START_PENDING, STOP_PENDING):
            self.current = self.coming.pop(0)
        return self.current

    def start(self, _name):
        self.do("start")
        self.current = self.coming.pop(0)

    def control(self, _name, control):
        self.done.append({STOP: "stop", RELOAD: "reload"}[control])
        if control == STOP and self.stops:
            self.current, self.coming = ServiceState(STOP_PENDING), [ServiceState(STOPPED), *self.coming]

    def delete(self, _name):
        self.done.append("delete")
        self.service = None

    def protect(self, base, settings, folders):
        self.do("protect", settings.account, *folders)
        if "secrets" in folders:
            self.files_at_protection = [path.name for path in Path(base).rglob("*") if path.is_file()]

    def protect_secrets(self, folder, rights):
        self.done.append((f"protect {folder.name}", rights))

    def add_source(self, _name):
        self.do("source")

    def remove_source(self, name):
        self.done.append(f"no source {name}")

    def admit(self, name, port, addresses):
        self.do("admit", name, port, *addresses)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(install, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def windows(monkeypatch):
    made = Windows()
    for module, name, step in (
        (install, "protect", made.protect),
        (install.accounts, "set_folder_access", made.protect_secrets),
        (install.event_log, "register_source", made.add_source),
        (install.event_log, "remove_source", made.remove_source),
        (install.service, "set_rule", made.admit),
    ):
        monkeypatch.setattr(module, name, step)
    return made
