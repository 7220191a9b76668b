"""A probe, its schedule, its tokens, and the look-ups of when a credential expires.

Stores nothing and serves nothing. In this order: `round_trip` (the five steps), `prober`, `schedule`, `tokens`, `secrets`, `auxiliary`; then
`expiry` and `expiry_monitor`.
"""
