"""Seals columns of live tables, or makes them plain, in a column beside (docs/adr/0013-sealing-live-tables.md).

Knows the database only: proxies learn of it by `pgcrypt.moves` and give way by an advisory lock.
`engine` is the way in; everything else is one of its steps.
"""
