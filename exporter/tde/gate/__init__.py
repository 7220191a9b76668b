"""Whether SQL Servers would find their keys if they restarted: pure rules.

For: `dependencies` finds the keys of an instance in the inventory, `response` reads the exporter's JSON, `assess` compares both, `conditions`
has the text and the first action of each reason, `render` writes the answer.
Not for: files, connections, or probes of its own.
"""
