"""Keys and sealed values; no SQL, no wire.

Front door: `keyring.Keyring` seals, opens and makes index terms;
`providers.make_provider` gives the key encryption key's holder; `envelope` has
the stored form's layout. The only package that imports cryptography.
"""
