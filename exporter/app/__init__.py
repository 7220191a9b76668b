"""The running exporter: its parts wired together, reloaded and divided into shards.

Holds no rule of its parts and no request. `service` first, then `reload`; `sql_servers` imports a driver only if the configuration
names SQL Servers; `web_endpoint` starts and stops the listeners.
"""
