"""Fixed text of docs/codes.md: its introduction, the titles of the layers, and what to check for any other number."""

from __future__ import annotations

from exporter.core.codes.model import Layer
from exporter.core.codes.shared import EVENT_LOG

INTRODUCTION = """\
# Codes of the SQL Server Connector

<!-- Generated: ekm-exporter explain --format md > docs/codes.md -->

When SQL Server cannot use a key in Azure Key Vault, it prints "Provider error code: N". This page lists every N with its
meaning, causes and actions. The exporter makes the same requests and reports the same numbers.
The 25 codes that a DBA meets come first; the other 121 follow, by step. `ekm-exporter explain N` prints one code,
`ekm-exporter explain` lists all 146.

**Owner** is the team that can fix the failure: DBA, identity (Entra ID), network, vault, or the operator of this exporter.
Capital words in commands (`VAULT`, `KEY`, `TARGET`) stand for your own names; `probe` also needs `--config.file`. Status pages
and the output of `probe` contain the target's own names and only the actions that match the reason."""

BACKGROUND = """\
## What `explain` takes

`ekm-exporter explain` takes a code and what surrounds it: a message of SQL Server in any language, a database state (RECOVERY_PENDING), a text
of the connector, an AADSTS number or a JSON answer, an error of Windows (0x80072EE7), PowerShell or curl, or whole log lines. With
`-`, it reads lines from standard input. A text of the connector or a message of SQL Server is never taken for the code of the same number.

## Two generations of numbers

Connectors before 1.0.5.0 use 30xx for the HTTP layer. Connectors with version 1.0.5.0 (2018 until today) use 31xx. Twenty
codes therefore have a **counterpart**: one failure, one symbol, two numbers, such as 3077 and 3113. `connector_generation`
sets which number a target reports: `classic` (30xx, the default) or `current` (31xx). It changes nothing else. Alerts accept
both, and texts name both: "3077 (3113 on connector 1.0.5.0)".

All other codes are the same under both settings. The more specific ones (3120 to 3128, and 32xx to 4000) exist since 1.0.5.0.
An older connector reports the less specific code of the HTTP layer for the same failure, the **fallback code**:

| condition | reported here | connector before 1.0.5.0 |
| --- | --- | --- |
| host name not resolved | [3900](#3900) | [3008](#3008) |
| Entra ID refuses the credential (401) | [3303](#3303) | [3010](#3010) |
| the vault refuses a token that was issued (401) | [3305](#3305) | [3010](#3010) |
| Entra ID responds with 400 | [3128](#3128) | [3012](#3012); builds of 1.0.5.0 from 2018 to 2020: [3110](#3110) |
| a response that cannot be read | 32xx, 33xx, 34xx, 36xx, 37xx | not known |

The mapping of builds to numbers comes from the connector's published code lists and from one build of 2020, not from tests
of every build. If your connector shows another number than this page, please report it.

401 and 404 are not connector codes. They are HTTP statuses that the connector's event log shows in the same place.

## What a probe can see

A probe makes the connector's requests from outside, so it observes network, Entra ID and vault. It cannot observe the inside
of the SQL Server host: memory, the Windows registry, local Windows calls. Each such code states why no probe can see it. This
page explains these codes too, because SQL Server can print them."""

LAYER_TITLES = {
    Layer.ENGINE: "Codes of SQL Server's engine (0 to 7)",
    Layer.EVENT_LINE: "Statuses in the event log (401, 404)",
    Layer.INPUT: "Names, secrets, thumbprints, registry (2049 to 2058)",
    Layer.HTTP: "HTTP (3000 to 3128)",
    Layer.CHALLENGE: "Reading the sign-in challenge (3200 to 3208)",
    Layer.TOKEN: "Sign-in (3300 to 3308)",
    Layer.GET_KEY: "Reading the key (3400 to 3412)",
    Layer.BACKUP: "Key backup (3500 to 3506)",
    Layer.WRAP_KEY: "Wrap (3600 to 3609)",
    Layer.UNWRAP_KEY: "Unwrap (3700 to 3709)",
    Layer.CREDENTIAL: "Building the sign-in request (3800 to 3822)",
    Layer.NAME: "Host names (3900)",
    Layer.RETRY: "Retry logic (4000)",
}

# What Microsoft's page names for a number that its table does not have.
OTHERWISE: tuple[str, ...] = (
    "No route to the internet or the vault: `ekm-exporter doctor TARGET` tests names, ports, proxy and certificates.",
    "Key Vault or Entra ID is down: read https://azure.status.microsoft, and try again later.",
    "The asymmetric key was deleted in the vault or dropped in SQL Server: `az keyvault key list-deleted --vault-name VAULT`.",
    "With `Cannot load library`, the Visual C++ runtime is missing or wrong: `ekm-exporter explain 33027`.",
    EVENT_LOG,
)
