"""What the proxy will do with one SQL text: immutable, made once, used for every run of that text.

Nothing above `sql` looks at a syntax tree; it looks at a `Plan`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.values.types import LogicalType


class Use(Enum):
    """What happens to a parameter or literal on its way to the server."""

    PASS = "pass"  # noqa: S105 - no password; forwarded as it came
    SEAL = "seal"  # becomes an envelope of `column`
    TERM = "term"  # becomes the equality term of `column`'s index domain, as bytea
    TERM_ARRAY = "term_array"  # an array whose elements become terms, as bytea[]
    SEAL_ARRAY = "seal_array"  # an array whose elements become envelopes of `column`, as bytea[]

    @property
    def is_array(self) -> bool:
        """Whether the client's value is an array."""
        return self in (Use.TERM_ARRAY, Use.SEAL_ARRAY)


@dataclass(frozen=True, slots=True)
class ParameterUse:
    """One upstream parameter: made from the client's parameter `client_index` (0-based).

    `cast` is the type that the statement's own cast gave the parameter (the
    element type for arrays), if it had one: the value is read as that type,
    then converted to the column's.
    """

    client_index: int
    use: Use
    column: ProtectedColumn | None = None
    cast: LogicalType | None = None


@dataclass(frozen=True, slots=True)
class LiteralSlot:
    """A place in the rewritten text that a sealed value or term takes.

    `text` is the literal's value in PostgreSQL's text form, None for NULL;
    an array's is its text form. `cast` as in ParameterUse. `position`
    is the literal's place in the client's text (1-based, characters).
    """

    text: str | None
    use: Use
    column: ProtectedColumn
    cast: LogicalType | None
    position: int

    def __repr__(self) -> str:
        return f"LiteralSlot({self.use.name} {self.column.qualified_name} at {self.position})"


@dataclass(frozen=True, slots=True)
class Splice:
    """How positions map back: `start..end` of the client's text (0-based characters) became `parts`."""

    start: int
    end: int
    parts: tuple[str | LiteralSlot, ...] = ()


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """One statement of the text.

    `outputs`: per result column the protected column it comes from, or None
    for a column that comes from none; `outputs` itself is None when the
    statement is untouched or returns no rows (then provenance alone decides).
    `refusal` set: the statement was replaced by one that fails. `is_ddl`: may
    change the catalog. `tables`: protected tables touched, for error scrubbing.
    `executes`: the prepared statement that SQL's EXECUTE names; its arguments
    are plain, so the session refuses it when that statement was rewritten.
    `changes_settings`: it may change how texts are read and written (time zone,
    DateStyle, encoding...), which is known only when it was answered;
    `ends_transaction`: it may bring such settings back.
    """

    is_untouched: bool = True
    refusal: Refusal | None = None
    outputs: tuple[ProtectedColumn | None, ...] | None = None
    is_ddl: bool = False
    tables: tuple[str, ...] = ()
    executes: str | None = None
    changes_settings: bool = False
    ends_transaction: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a whole SQL text (one statement for Parse, any number for Query).

    `pieces` is the rewritten text: str parts and literals to be sealed at send
    time. `parameters` are the upstream parameters in order ($1 first); empty
    when untouched. `client_parameters` is how many the client's text uses.
    """

    is_untouched: bool
    statements: tuple[StatementPlan, ...] = ()
    pieces: tuple[str | LiteralSlot, ...] = ()
    splices: tuple[Splice, ...] = ()
    parameters: tuple[ParameterUse, ...] = ()
    client_parameters: int = 0

    @property
    def refusal(self) -> Refusal | None:
        """The first statement's refusal that the server will reach, if any."""
        return next((s.refusal for s in self.statements if s.refusal is not None), None)

    @property
    def is_ddl(self) -> bool:
        return any(s.is_ddl for s in self.statements)

    @property
    def changes_settings(self) -> bool:
        return any(s.changes_settings for s in self.statements)

    @property
    def ends_transaction(self) -> bool:
        return any(s.ends_transaction for s in self.statements)


@dataclass(frozen=True, slots=True)
class NeedsNames:
    """The planner must know what these names mean in the client's own session.

    Each is SQL text for `to_regclass` (quoted as an identifier, qualified if it
    was). Ask the server there, then plan again with the answers.
    """

    names: tuple[str, ...]


UNTOUCHED = Plan(is_untouched=True)
