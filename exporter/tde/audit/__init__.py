"""The audit sheet of one key: who may use it, who did, when it was last proven, and what expires.

For: `access` has the roles that unwrap and the queries that the exporter may not run itself; `own_requests` estimates what SQL Servers request;
`sheet` makes readable parts of the facts that a running exporter returns as JSON.
Not for: requests. `presentation.audit` collects the facts.
"""
