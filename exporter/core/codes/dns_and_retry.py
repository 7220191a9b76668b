"""Code 3900, a host name that does not resolve, and 4000, the retry logic around all operations."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.shared import DO_NOT_RESTART, out_of_memory

NAME_AND_RETRY: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=3900,
        symbol="ErrorAKVDoesNotExist",
        layer=Layer.NAME,
        category=Category.NETWORK,
        owner=Owner.NETWORK,
        alias=3008,
        summary=(
            "A host name got no address: the vault's or, at the token step, that of Entra ID. The symbol claims the vault does not "
            "exist, but DNS trouble looks the same. SQL Server reaches no key until the name resolves."
        ),
        causes=(
            "`dns_not_found`: the record is missing, often in the private DNS zone `privatelink.vaultcore.azure.net`.",
            "`dns_not_found`: the vault was deleted.",
            "`dns_temporary`, `dns_timeout`: the DNS server is down, overloaded or out of reach; other names fail too.",
            "IDENTITY of the SQL credential, or `vault` in the configuration, is misspelt.",
        ),
        actions=(
            "Ask on the SQL Server host: `Resolve-DnsName VAULT.vault.azure.net`; then another name, to see if DNS works.",
            "Was the vault deleted? `az keyvault list-deleted`; if so, `az keyvault recover --name VAULT`.",
            "With a private endpoint, check its record and that the zone is linked to this network.",
            DO_NOT_RESTART,
        ),
    ),
    out_of_memory(4000, "ErrorCreateKeyVaultRetryManagerOutOfMemory", Layer.RETRY, "setting up its retry logic"),
)
