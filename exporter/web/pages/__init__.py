"""HTML pages, built from records without a template language. No handler, no request.

In this order: `views` (a target as a page shows it), `html`, `fleet`, `causes`, `status`, `target`, `sql_servers`, `codes`.
"""
