"""The commands `run` and `probe` as processes: output, exit codes, secrets."""

import asyncio
import datetime as dt
import json
import re
import signal
import socket
import sys
import time
from functools import partial

import pytest

from exporter.__main__ import main
from exporter.cli import main as main_module
from tests.integration.process.conftest import until
from tests.support.patience import without_slow_steps

STOPPED = 30.0  # seconds; the exporter takes two, or five with a dead mount, on a machine that is not busy

# Faults of one vault and their codes. Other targets must not be affected.
FAULTS = [
    ({"vault": "vault-broken", "scenario": "unwrap_forbidden"}, "3077"),
    ({"vault": "vault-broken", "fault": "throttled"}, "3011"),
    ({"vault": "vault-broken", "fault": "throttled", "retry_after": 5}, "3011"),
    ({"vault": "vault-broken", "fault": "silent"}, "3008"),
    ({"vault": "vault-broken", "fault": "tls_untrusted"}, "3008"),
    ({"vault": "vault-broken", "fault": "foreign_authority"}, "3001"),
    ({"vault": "vault-broken", "fault": "status", "status": 500}, "3013"),
]


async def test_failing_vault_has_its_code_and_affects_no_other(exporter, simulator, get, samples):
    running, url = await exporter()

    async def code_is(code):
        _, text = await get(f"{url}/metrics")
        return text if samples(text, "ekm_last_failure_info", target="broken", code=code) else None

    for fault, code in FAULTS:
        await simulator.break_(**fault)
        text = await until(lambda code=code: code_is(code))
        assert samples(text, "ekm_probe_success", target="broken") == [0]
        await simulator.repair()

    async def well():
        _, text = await get(f"{url}/metrics")
        return text if samples(text, "ekm_probe_success", target="broken") == [1] else None

    text = await until(well)
    for target in ("fine", "typed"):
        assert samples(text, "ekm_probe_failures_total", target=target) == [0]
        assert samples(text, "ekm_vault_side_ready", target=target) == [1]
    assert samples(text, "ekm_exporter_internal_errors_total") == [0]
    assert await running.stop() == 0
    assert "Traceback" not in running.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_cancels_the_running_probes(exporter, simulator, number):
    """The target `typed` has a timeout of half an hour."""
    await simulator.break_(authority="login.microsoftonline.com", fault="silent")
    await simulator.break_(vault="vault-broken", fault="silent")
    running, _ = await exporter(wait=False)
    await until(simulator.requests)
    assert await running.stop(number, within=STOPPED) == 0
    assert "Traceback" not in running.text
    assert "Unclosed" not in running.text
    assert "Warning" not in running.text


async def test_port_in_use_is_one_clear_line(command, simulator):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        running = await command("run", "--config.file", simulator.config, "--web.listen-address", address)
        assert await running.end() == 2
    errors = [line for line in without_slow_steps(running.err) if "warning" not in line]
    assert errors == [
        f"ekm-exporter run: cannot listen on {address}: address already in use (choose another with --web.listen-address)\n"
    ]


def test_bad_configuration_is_reported_line_by_line(tmp_path, capsys):
    bad = tmp_path / "bad.yml"
    bad.write_text("global: {interval: 5x}\ntargets:\n  - {name: a, vault: http://x, key: k, credential: missing}\n")
    for verb in (["run"], ["run", "--config.check"], ["check"], ["probe", "a"], ["simulate", "--out", str(tmp_path / "s")]):
        assert main_module.main([*verb, "--config.file", str(bad)]) == 2
        _, err = capsys.readouterr()
        assert re.search(r"bad\.yml:1:20: global\.interval: ", err), err
        assert re.search(r"bad\.yml:3:\d+: targets\[0\]\.vault: ", err)


def test_bad_usage_exits_2(capsys):
    with pytest.raises(SystemExit) as ended:
        main_module.main(["run", "--shard", "3/3"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith("ekm-exporter run: argument --shard: ")


async def test_no_output_has_a_secret_or_token(exporter, simulator, get, capsys):
    """Use marked secrets, cause failures, request every page, and search all output."""
    running, url = await exporter("--log.level", "debug")
    emitted = []

    async def is_probed(since):
        last = json.loads((await get(f"{url}/api/v1/targets/broken"))[1])["last_probe"]
        return last is not None and dt.datetime.fromisoformat(last).timestamp() >= since

    for fault in (
        {"vault": "vault-broken", "scenario": "unwrap_forbidden"},
        {"application": "sql-prod", "fault": "secret_wrong"},
        {"application": "sql-typed", "fault": "secret_expired"},
        {"authority": "login.microsoftonline.com", "fault": "html"},
    ):
        await simulator.break_(**fault)
        await until(partial(is_probed, time.time()))
        _, listed = await get(f"{url}/api/v1/targets/broken")
        newest = re.findall(r'"id": ?"([^"]+)"', listed)
        pages = ["/", "/metrics", "/targets", "/targets/broken", "/config", "/api/v1/targets", "/sd/targets"]
        pages += [f"/probe?target={name}&debug=true" for name in ("fine", "typed", "broken")]
        pages += [f"/targets/broken/probes/{newest[0]}"] if newest else []
        emitted += [(await get(url + page))[1] for page in pages] + [listed]
        for flags in ([], ["--json"], ["--ticket"]):
            await asyncio.to_thread(main_module.main, ["probe", "broken", "--config.file", str(simulator.config), *flags])
        await simulator.repair()
    main_module.main(["check", "--config.file", str(simulator.config), "--print-effective", "--cost"])
    await running.stop()
    everything = "\n".join([*emitted, *capsys.readouterr(), running.text])
    assert len(everything) > 50_000
    assert "MARKED" not in everything
    assert re.search("eyJ[A-Za-z0-9_-]{16}", everything) is None  # the beginning of each token of the simulator


async def test_probe_prints_a_report_and_has_an_exit_code(command, simulator, capsys):
    good = await command("probe", "fine", "--config.file", simulator.config)
    assert await good.end() == 0
    assert "vault side ready, seen from the SQL host" in good.text
    await simulator.break_(application="sql-prod", fault="secret_expired")
    arguments = ["probe", "fine", "--config.file", str(simulator.config)]
    assert await asyncio.to_thread(main_module.main, arguments) == 1
    bad = capsys.readouterr().out
    for words in ("3303", "ErrorGetTokenBadCredentials", "secret_expired", "AADSTS7000222", "wrap_key", "skipped"):
        assert words in bad
    assert await asyncio.to_thread(main_module.main, [*arguments, "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert (report["step"], report["code"], report["reason"], report["vault_side_ready"]) == (
        "token",
        3303,
        "secret_expired",
        False,
    )
    assert [step["outcome"] for step in report["steps"]] == ["ok", "failed", "skipped", "skipped", "skipped"]


async def test_exporter_without_scheduler_probes_on_request(exporter, get, samples):
    running, url = await exporter("--no-scheduler")
    _, text = await get(f"{url}/metrics")
    assert samples(text, "ekm_probes_total", target="fine") == [0]
    assert samples(text, "ekm_probe_success") == []
    _, answer = await get(f"{url}/probe?target=fine")
    assert samples(answer, "probe_success") == [1]
    assert len(samples(answer, "ekm_probe_step_duration_seconds")) == 5
    assert samples(answer, "ekm_consecutive_failures") == samples(answer, "ekm_consecutive_unready_probes") == [0]
    _, text = await get(f"{url}/metrics")
    assert samples(text, "ekm_probes_total", target="fine") == [1]
    assert samples(text, "ekm_probe_success") == []
    _, text = await get(f"{url}/probe?target=missing", status=400)
    await running.stop()
    assert "missing" in text


async def test_requested_probe_is_not_counted_with_a_scheduler(exporter, get, samples, simulator):
    """The target `typed` is due once an hour."""
    running, url = await exporter("--shard", "0/1")
    _, answer = await get(f"{url}/probe?target=typed&module=default", **{"X-Prometheus-Scrape-Timeout-Seconds": "5"})
    _, text = await get(f"{url}/metrics")
    await running.stop()
    assert samples(answer, "ekm_probe_success", target="typed") == [1]
    assert samples(answer, "ekm_consecutive_failures") == []
    assert samples(text, "ekm_probes_total", target="typed") == [1]
    rows = await simulator.requests()
    fine = {(row["operation"], row["status"]) for row in rows if row["host"] == "vault-fine.vault.azure.net"}
    assert {("challenge", 401), ("get", 200), ("wrapKey", 200), ("unwrapKey", 200)} <= fine
    assert samples(text, "ekm_exporter_requests_total", endpoint="vault")[0] >= 12
    assert [row["count"] for row in rows if (row["host"], row["operation"]) == ("vault-typed.vault.azure.net", "wrapKey")] == [2]


def test_ctrl_c_during_imports_prints_no_traceback(monkeypatch):
    class Interrupting:
        """Raises KeyboardInterrupt at the import of the command line."""

        def find_spec(self, name, *_):
            if name == "exporter.cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "exporter.cli.main", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
    assert main() == 130
