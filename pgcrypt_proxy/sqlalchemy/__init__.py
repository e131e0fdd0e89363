"""Sealed columns without the proxy, for a Python service with SQLAlchemy: `Sealed` is the type, `Sealer` has the keys.

Makes and opens the proxy's own envelopes, under the same keyring, rules and
column ids. Knows no SQL text: what a statement may do with a sealed column is
decided on SQLAlchemy's own tree (`guard`), and whatever is not known to be
right is refused before it is sent.
"""

from pgcrypt_proxy.sqlalchemy.sealer import Sealer
from pgcrypt_proxy.sqlalchemy.types import Sealed
from pgcrypt_proxy.sqlalchemy.unwrapped import SealedColumnError

__all__ = ["Sealed", "SealedColumnError", "Sealer"]
