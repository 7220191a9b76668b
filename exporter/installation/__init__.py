"""Installing the exporter as a service of Windows: settings, plan, rights, files, and the steps.

For: the command `service`. Not for: what the service does while it runs, or the functions of Windows (`runtime.windows`).
"""
