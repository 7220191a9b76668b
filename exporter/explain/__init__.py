"""What a pasted text, a code or an event of Windows means.

Chooses the code of no failure (`knowledge.classify` does). In this order: `known_texts` and `messages` (tables), `numbers`,
`explanation`, `search`; for events `event` and `saved_log`. All but `saved_log`, which reads files, are pure.
"""
