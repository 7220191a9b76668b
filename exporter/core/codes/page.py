"""The fixed prose of the documentation page: its introduction and the title of each layer.

Not for: anything about a single code.
"""

from __future__ import annotations

from exporter.core.codes.model import Layer

INTRODUCTION = """\
# Codes of the SQL Server Connector

<!-- Generated: ekm-exporter codes --format md > docs/codes.md -->

When SQL Server cannot use a key in Azure Key Vault it prints "Provider error code: N". This page says, for every N, what it
means, why it happens and what to do. The exporter reports the same numbers, found by making the same requests.
`ekm-exporter explain N` prints one of them, `ekm-exporter codes` lists all 146.

**Owner** is who can repair it: the DBA, or those who run identity (Entra ID), network, vault, or this exporter. Capital words
in commands (`VAULT`, `KEY`, `TARGET`) stand for your own names; `probe` also needs `--config.file`. Status pages and the
output of `probe` put the target's own names there, and pick the actions that fit the reason.

## Two generations of numbers

Connectors before 1.0.5.0 number the HTTP layer 30xx; those called 1.0.5.0, from 2018 to today, number it 31xx. Twenty codes
are such **twins**: one failure, one symbol, two numbers, for example 3077 and 3113. `connector_generation` chooses which of
the two a target reports: `classic` (30xx, the default) or `current` (31xx). Nothing else changes with it, and alerts accept
both. Texts name both: "3077 (3113 on connector 1.0.5.0)".

All other codes are reported alike under both settings, though the more specific ones (3120 to 3128, and 32xx to 4000) came with
1.0.5.0. A connector older than that has only the HTTP layer's number for the same failure, its **alias**:

| condition | reported here | what a connector before 1.0.5.0 would show |
| --- | --- | --- |
| host name not resolved | [3900](#3900) | [3008](#3008) |
| Entra ID refuses the credential (401) | [3303](#3303) | [3010](#3010) |
| the vault refuses a token that was issued (401) | [3305](#3305) | [3010](#3010) |
| Entra ID answers 400 | [3128](#3128) | [3012](#3012); builds of 1.0.5.0 from 2018 to 2020: [3110](#3110) |
| an answer that cannot be read | 32xx, 33xx, 34xx, 36xx, 37xx | not known |

Which build prints which number is worked out from the history of the connector's published code list and from one build
of 2020, not from running every build. If yours shows another number than this page says, please report it.

401 and 404 are no connector codes. They are HTTP statuses that the connector's event log shows in the same place.

## What a probe can see

A probe makes the connector's requests from outside, so it meets what network, Entra ID and vault do. It cannot see inside the
SQL Server host: memory, the Windows registry, calls that Windows answers by itself. Each such code says why it is out of
reach; it is explained here all the same, for the day SQL Server prints it."""

LAYER_TITLES = {
    Layer.ENGINE: "What SQL Server itself understands (0 to 7)",
    Layer.EVENT_LINE: "Statuses in the event log (401, 404)",
    Layer.INPUT: "Names, secrets, thumbprints, registry (2049 to 2058)",
    Layer.HTTP: "HTTP (3000 to 3128)",
    Layer.CHALLENGE: "Learning where to sign in (3200 to 3208)",
    Layer.TOKEN: "Signing in (3300 to 3308)",
    Layer.GET_KEY: "Reading the key (3400 to 3412)",
    Layer.BACKUP: "Backing up a key (3500 to 3506)",
    Layer.WRAP_KEY: "Wrap (3600 to 3609)",
    Layer.UNWRAP_KEY: "Unwrap (3700 to 3709)",
    Layer.CREDENTIAL: "Making the sign-in request (3800 to 3822)",
    Layer.NAME: "Host names (3900)",
    Layer.RETRY: "Retrying (4000)",
}
