"""Whether folder, program and service belong together."""

from dataclasses import replace
from pathlib import Path, PureWindowsPath

import pytest

from exporter.windows import install
from exporter.windows.install import RefusedError
from exporter.windows.rules import ServiceDefinition, ServiceSettings, dump_settings, service_command

SETTINGS = ServiceSettings(name="ekm")
SERVICE = ServiceDefinition(name="ekm", command="p", account="a")


def command(base, name="ekm"):
    return service_command("p", replace(SETTINGS, name=name), PureWindowsPath(base))


def test_settings_of_another_service_refuse_the_folder(tmp_path):
    with pytest.raises(RefusedError, match="folder of the service other"):
        install.check_place(tmp_path, "ekm", ServiceSettings(name="other"), None)
    install.check_place(tmp_path, "EKM", SETTINGS, None)


@pytest.mark.parametrize(
    "foreign", [command("C:/elsewhere"), r"C:\SQL\Binn\sqlservr.exe -sMSSQLSERVER", "", command("x", "other")]
)
def test_service_that_runs_something_else_is_refused(tmp_path, foreign):
    with pytest.raises(RefusedError, match="is not that of"):
        install.check_place(tmp_path, "ekm", None, replace(SERVICE, command=foreign))


@pytest.mark.parametrize("present", [["other.exe"], ["logs"], ["app"], ["web.yml"]])
def test_folder_with_files_of_other_programs_is_refused(tmp_path, present):
    for name in present:
        (tmp_path / name).mkdir()
    with pytest.raises(RefusedError, match="other programs"):
        install.check_place(tmp_path, "ekm", None, None)


@pytest.mark.parametrize(
    ("others", "text"),
    [
        (["web.yml"], "web.yml, which is not of an installation: move it away, install, then put it back"),
        (["ca.pem", "web.yml"], "ca.pem, web.yml, which are not of an installation: move them away, install, then put them back"),
        ([*"abcdefg"], "a, b, c, d, e and 2 more, which are not"),
    ],
)
@pytest.mark.parametrize("prepared", ["ekm.yml", "Secrets"])
def test_other_files_of_a_prepared_folder_are_named_with_what_to_do(tmp_path, prepared, others, text):
    for name in (prepared, *others):
        (tmp_path / name).touch()
    with pytest.raises(RefusedError, match=f"{tmp_path} has {text}"):
        install.check_place(tmp_path, "ekm", None, None)


def test_root_of_a_drive_is_refused():
    with pytest.raises(RefusedError, match="other programs"):
        install.check_place(Path("/"), "ekm", SETTINGS, None)


@pytest.mark.parametrize(
    "present",
    [["app/lib/exporter", "readme.txt"], ["ekm.yml", "targets.d"], ["secrets", "state", "logs"], ["EKM.YML", "Targets.d"], []],
)
def test_own_or_empty_folder_is_accepted(tmp_path, present):
    for name in present:
        (tmp_path / name).mkdir(parents=True)
    install.check_place(tmp_path, "ekm", None, replace(SERVICE, command=command(tmp_path)))
    install.check_place(tmp_path / "new", "ekm", None, None)


class Services:
    """A service manager with one service, or none."""

    def __init__(self, service=None):
        self.service = service

    def find(self, name):
        return self.service if self.service is not None and self.service.name == name else None


def test_program_of_the_installation_is_accepted(tmp_path):
    install.check_program(str(PureWindowsPath(tmp_path) / "App" / "python" / "python.exe"), tmp_path, Services())


def test_program_of_another_installation_is_accepted_once_that_is_registered(tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    python, registered = str(other / "app" / "python" / "python.exe"), replace(SERVICE, command=command(other))
    for services in (Services(), Services(registered)):  # the folder has no settings yet
        with pytest.raises(RefusedError, match="other users"):
            install.check_program(python, tmp_path / "shard", services)
    (other / install.SETTINGS).write_text(dump_settings(SETTINGS))
    install.check_program(python, tmp_path / "shard", Services(registered))
    for services in (Services(), Services(replace(registered, command="sqlservr.exe"))):
        with pytest.raises(RefusedError, match="other users"):
            install.check_program(python, tmp_path / "shard", services)


@pytest.mark.parametrize(
    "python", [r"D:\venv\Scripts\python.exe", r"D:\ekm\app\python\python.exe", r"D:\ekm\app\python\other.exe"]
)
def test_any_other_program_is_refused(tmp_path, python):
    with pytest.raises(RefusedError, match="unpack the zip"):
        install.check_program(python, tmp_path, Services())
