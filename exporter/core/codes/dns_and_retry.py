"""Codes 3900, an unresolved host name, and 4000, the retry logic."""

from __future__ import annotations

from exporter.core.codes.model import Category, ConnectorError, Layer, Owner
from exporter.core.codes.readers import for_vault
from exporter.core.codes.shared import DO_NOT_RESTART, WITHOUT_THE_KEY, out_of_memory_row

NAME_AND_RETRY: tuple[ConnectorError, ...] = (
    ConnectorError(
        code=3900,
        symbol="ErrorAKVDoesNotExist",
        layer=Layer.NAME,
        category=Category.NETWORK,
        owner=Owner.NETWORK,
        fallback=3008,
        summary=(
            "The host name of the vault (or of Entra ID, at the token step) does not resolve. The symbol suggests a missing vault, "
            "but most causes are DNS. SQL Server reaches no key until the name resolves."
        ),
        effect=WITHOUT_THE_KEY,
        causes=(
            "`dns_not_found`: a linked private zone `privatelink.vaultcore.azure.net` lacks the vault's record.",
            "`dns_not_found`: IDENTITY of the SQL credential, or `vault` in the configuration, is misspelt.",
            "`dns_not_found`: the vault was purged. A soft-deleted vault keeps its DNS record until it is purged.",
            "`dns_temporary`, `dns_timeout`: the DNS server is down, overloaded or unreachable. Other names fail too.",
        ),
        actions=(
            "On the SQL Server host, run `Resolve-DnsName HOST`. If other vaults resolve there, DNS works: this record is missing, or the vault was deleted.",
            for_vault(
                "List the deleted vaults: `az keyvault list-deleted`. If it is there, recover it: `az keyvault recover --name VAULT`."
            ),
            for_vault(
                "A recovered vault has lost its roles: assign them again. A purged one cannot return: restore the key's backup elsewhere."
            ),
            "If the vault was deleted, forward this to the vault team. If it was not, the network team acts.",
            "With a private endpoint, the zone `DNS_ZONE` needs the vault's record and a link to this network.",
            DO_NOT_RESTART,
        ),
    ),
    out_of_memory_row(4000, "ErrorCreateKeyVaultRetryManagerOutOfMemory", Layer.RETRY, "setting up its retry logic"),
)
