"""pgcrypt-proxy: a transparent encrypting proxy for PostgreSQL.

Bytes become messages (`wire`), SQL becomes plans (`sql`), values become
envelopes (`crypto`), `session` decides, `server` does.
"""

__version__ = "0.1.0"
