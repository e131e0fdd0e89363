"""One client connection as a state machine without I/O.

Front door: `session.Session.handle(event) -> list[Command]`. Events (`events`)
say what happened, in the past tense; commands (`commands`) what is to be done,
in the imperative; the `observer` hears numbers for metrics and logs. Inside:
`startup` until the connection is ready, then `from_frontend` and `from_backend`
by direction of the message; `reply_queue` knows what the server still owes,
`statements` what names mean, `copy` the state of a COPY, `planning` waits for
plans, `transform` seals and opens values, `results` and `error_fields` change
what the server says.

Knows messages, plans, values and keys; must not know sockets, TLS, clocks of
its own, syntax trees or ciphers. The theory of operation is in `session.py`.
"""
