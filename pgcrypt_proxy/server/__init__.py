"""All I/O of the running proxy: sockets, TLS, listeners, metrics, logs, and the shared world.

Front door: `run.serve(settings)` for the command, `run.start(settings)` for
whoever embeds it (the demo and tests). Decides nothing about messages: that is
`session`.
"""
