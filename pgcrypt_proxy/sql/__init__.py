"""SQL text and catalog become plans; the only package that knows pglast.

Front door: `planner.Planner.plan(text)`, `plan.Plan`, `catalog.Catalog`.
Knows nothing of connections, keys or messages.
"""
