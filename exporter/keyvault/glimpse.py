"""What an exchange that runs in another task has come to: the facts it would have if its deadline passed now.

For: the probe that can wait no longer for a token request it shares, and must still say which phase the time went into.
Not for: exchanges of one's own, which give their facts themselves.
"""

from __future__ import annotations

from contextvars import Context
from dataclasses import replace

from exporter.core.faults import Fault
from exporter.core.model import Facts
from exporter.keyvault.evidence import facts_of
from exporter.keyvault.network import Network, split_url
from exporter.keyvault.tracing import CURRENT
from exporter.keyvault.transport import Observation, SecretTimeoutError
from exporter.runtime.thread_pool import PoolBusy


def cut_short(context: Context, network: Network, authority: str) -> Facts:
    """The facts of the exchange with `authority` that the task with this context is making.

    Raises PoolBusy where that exchange still waits for a place or a thread of our own.
    """
    recorder = context.get(CURRENT)
    if recorder is None:
        return Facts(fault=Fault.READ_TIMEOUT, detail="no time was left")
    if recorder.starved:
        raise PoolBusy("time ran out before a thread or a place among the handshakes was free")
    if recorder.reached is None:
        return Facts(fault=Fault.SECRET_TIMEOUT, detail=str(SecretTimeoutError()))
    host, port = split_url(network.module.authority_host or authority)
    via_proxy = network.proxy_for(host, port) is not None
    seen = Observation(endpoint=f"{host}:{port}", recorder=recorder, via_proxy=via_proxy, timed_out=True)
    return replace(facts_of(seen), certificate=None)
