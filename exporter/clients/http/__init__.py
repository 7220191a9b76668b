"""One exchange over HTTP: its connection, its phases, its limits, and the fault of one that failed.

Holds nothing of a service. In this order: `exchange` (connection, marks, response), `timing` (what sets the marks), `facts`, `network`.
"""
