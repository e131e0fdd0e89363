"""The PostgreSQL protocol 3 as bytes and messages; no SQL, no keys, no sockets.

Front door: `framing.FrameBuffer` cuts the stream into messages, `startup`,
`frontend` and `backend` decode and encode them, `rows` is the hot leaf for
value lists. Names are the manual's.
"""
