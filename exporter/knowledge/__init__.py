"""What is known of codes, reasons, checks and tickets: tables, and the few rules that read them.

Pure: no I/O, no clock. A code is a row of `codes_*`, built from `code_row`; a reason is a row of `reasons_*`, built from `reason_row`. `classify`
turns facts into code and reason; `verdict`, `causes`, `incident`, `advice`, `checks`, `tickets` and `expiry` follow from them.
"""
