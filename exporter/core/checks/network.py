"""Rows of the checks of routes, names, ports, certificates and clock."""

from __future__ import annotations

from exporter.core.checks.model import Actions, Check
from exporter.core.codes.action_texts import SYNCHRONISE


def _to_private(zone: str) -> Actions:
    return (
        "On the SQL Server host, resolve the name and compare the address with that of the private endpoint: `Resolve-DnsName VAULT.vault.azure.net`.",
        f"A private address requires that the zone privatelink.{zone}.azure.net is linked to this network.",
    )


def _both(name: str, title: str, question: str, *, code: int, needs: str = "", actions: Actions = ()) -> tuple[Check, Check]:
    """Return the rows for the vault and for Entra; `{}` in the texts is the host."""
    vault, entra = (
        Check(
            name=f"{name}_{host}",
            title=title.format(shown),
            question=question.format(shown),
            code=code,
            needs=(f"{needs}_{host}",) if needs else (),
            actions=actions,
        )
        for host, shown in (("vault", "the vault"), ("entra", "Entra"))
    )
    return vault, entra


NETWORK: tuple[Check, ...] = (
    *_both("proxy", "Proxy to {}", "Which proxy is used for {}, and does it allow the connection?", code=3012),
    *_both(
        "dns",
        "Name of {}",
        "Does the host name of {} resolve here?",
        code=3900,
        needs="proxy",
        actions=(
            "Check the hosts file. If it does not have the name, a search domain with a wildcard record answers with another host.",
            "Remove that record, or set `options ndots:1` in /etc/resolv.conf.",
            (
                "In Kubernetes, set `dnsConfig` with `ndots: 1`, as the chart does. Compare with the name as written: "
                "`Resolve-DnsName HOST. -DnsOnly`."
            ),
        ),
    ),
    *_both("tcp", "Port 443 of {}", "Does a TCP connection to {} succeed?", code=3008, needs="dns"),
    *_both(
        "issuer",
        "Issuer seen for {}",
        "Who issued the certificate of {}: an authority of Azure, or a proxy that inspects TLS?",
        code=3008,
        needs="tcp",
        actions=(
            "If a proxy inspects TLS, exempt the host. SQL Server connects only if Windows trusts that authority: `certutil -store Root`.",
        ),
    ),
    *_both(
        "tls",
        "TLS with {}",
        "Does {}'s certificate have a trusted chain, the right name and valid dates, and does the handshake succeed?",
        code=3008,
        needs="issuer",
        actions=("Azure renews its certificates weeks before expiry. This one may belong to a proxy: check its issuer.",),
    ),
    Check(
        name="revocation",
        title="Revocation, port 80",
        question="Do the revocation hosts of the certificates (CRL, OCSP) respond on port 80? Windows queries them.",
        actions=(
            "Allow outbound port 80 to these hosts. Windows queries them for each certificate, and connections wait for the response.",
        ),
    ),
    Check(
        name="path",
        title="Path to the vault",
        question="Is the vault reached over the network path that the module expects, private or public?",
        needs=("tls_vault",),
        effect="The vault was reached, but over another network path than the module expects.",
        actions=_to_private("vaultcore"),
        on_hsm=_to_private("managedhsm"),
    ),
    Check(
        name="clock",
        title="Clock",
        question="How far is this host's clock from that of the services? Beyond five minutes, signed assertions are refused.",
        code=3303,
        effect="Entra accepts a client secret even if the clock is wrong. It would refuse a certificate or another signed assertion.",
        actions=(
            SYNCHRONISE,
            "Show its source and offset: `w32tm /query /status` on Windows, `chronyc tracking` on Linux.",
        ),
    ),
)
