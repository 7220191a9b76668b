"""A shortage of file descriptors is an exporter-side fault in the metrics, and the exporter recovers."""

import asyncio
import resource

import aiohttp

from tests.integration.process.conftest import until

VAULTS = ("ekm_probe_failures_total", "ekm_errors_total", "ekm_exporter_internal_errors_total", "ekm_probe_success")
NONE_LEFT = 3  # the number of standard streams


async def test_descriptor_shortage_changes_no_metric_of_a_vault(exporter, samples):
    running, url = await exporter()
    limits = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
    async with aiohttp.ClientSession() as session:

        async def metrics():
            async with session.get(f"{url}/metrics") as answer:
                return await answer.text()

        async def skipped():
            return sum(samples(await metrics(), "ekm_exporter_probes_skipped_total", reason="descriptors")) >= 2

        before = await metrics()
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (NONE_LEFT, limits[1]))
        await until(skipped)
        after = await metrics()
        for name in VAULTS:
            assert samples(after, name) == samples(before, name), name
        assert 0 not in samples(after, "ekm_vault_side_ready")
        made = sum(samples(after, "ekm_probes_total"))

        async with aiohttp.ClientSession() as late:
            waiting = asyncio.create_task(late.get(f"{url}/-/healthy"))
            await running.output("cannot accept connections: out of system resources")
            resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, limits)
            assert (await waiting).status == 200

        async def probed():
            return sum(samples(await metrics(), "ekm_probes_total")) > made

        await until(probed)
        assert samples(await metrics(), "ekm_probe_failures_total") == samples(before, "ekm_probe_failures_total")
    assert await running.stop() == 0
