"""All that is known of SQL Servers: reading them, their keys, what proved these, their logs, their differences from the configuration.

Chooses no code and renders no page. The pure part in this order: `document`, `instance`, `keys`, `reading`, `logs`, `proof`, `urgency`,
`differences`, `audit`, `gate/`. The part that connects: `wire` and `errors` (pure), `tds` (alone imports the driver), `script`, `read`, `last_reading`,
`monitor`.
"""
