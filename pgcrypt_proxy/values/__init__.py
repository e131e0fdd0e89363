"""Text and binary forms of PostgreSQL's types, and when two values are equal; no keys, no SQL, no messages.

Front door: `types.type_by_name`, `database_types`, `codec.from_text`,
`codec.to_text`, `codec.equality_key`, `casts.convert`, `arrays`. The plaintext that is sealed is the type's
binary send format.
"""
