"""Targets from what SQL Servers and Azure have, as files next to those written by hand.

Nothing here is imported by `run`. In this order: `claims` (who is which server), `plan`, `render`, `folder`; then `per_host`, `vault_search`
and, for vaults that no target covers, `azure_plan` and `azure`.
"""
