"""What is done to the database itself: install, load the catalog and keyring, protect, verify.

Front door: `connect.connect`, `install.install`, `catalog_loader.load`,
`keyring_store.KeyringStore`, `protect`, `unprotect`, `verify`, `open_one`.
Synchronous (psycopg); whoever has an event loop calls this from a thread.
Knows nothing of client connections and their messages.
"""
