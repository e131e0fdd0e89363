"""Which columns are protected and how: rule files as plain data; no SQL, no keys, no database.

Front door: `load.load(paths)` gives a `model.Policy`.
"""
