"""What a pasted text, a code or an event of Windows means.

Chooses the code of no failure (`knowledge.classify` does). In this order: `known_texts` and `messages` (tables), `numbers`,
`explanation`, `search`; `event` for events. All are pure.
"""
