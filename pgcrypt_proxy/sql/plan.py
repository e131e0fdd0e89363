"""What the proxy will do with one SQL text: immutable, made once, used for every run of that text.

Nothing above `sql` looks at a syntax tree; it looks at a `Plan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.operands import Operand
from pgcrypt_proxy.values.casts import compared_as
from pgcrypt_proxy.values.types import LogicalType, element_of, type_by_name, type_by_oid
from pgcrypt_proxy.wire.copy_format import CopyFormat


class Use(Enum):
    """What happens to a parameter or literal on its way to the server."""

    PASS = "pass"  # noqa: S105 - no password; forwarded as it came
    SEAL = "seal"  # becomes an envelope of `column`
    ALIKE = "alike"  # as SEAL, beside the column's own values in COALESCE and the like: only of a type like its
    TERM = "term"  # becomes the equality term of `column`'s index domain, as bytea
    TERM_ARRAY = "term_array"  # an array whose elements become terms, as bytea[]
    SEAL_ARRAY = "seal_array"  # an array whose elements become envelopes of `column`, as bytea[]
    FOLD = "fold"  # becomes the term of its lower-case form
    FOLDED = "folded"  # as FOLD, if it is in lower case; otherwise a term that no value has
    FOLDED_ARRAY = "folded_array"  # an array whose elements are FOLDED, as bytea[]
    PATTERN = "pattern"  # as FOLD; refused if it has a wildcard or escape of LIKE

    # Members are compared by identity; Enum's own hash is a Python function on the hot path.
    __hash__ = object.__hash__

    @property
    def is_array(self) -> bool:
        """Whether the client's value is an array."""
        return self in ELEMENT_USES

    @property
    def is_compared(self) -> bool:
        """Whether the value is compared with the column's, not stored in it."""
        return self not in (Use.PASS, Use.SEAL, Use.SEAL_ARRAY, Use.ALIKE)


#: What becomes of an array's elements.
ELEMENT_USES = {Use.TERM_ARRAY: Use.TERM, Use.SEAL_ARRAY: Use.SEAL, Use.FOLDED_ARRAY: Use.FOLDED}
#: Values beside lower() or upper(), which give text.
_FOLDED = frozenset({Use.FOLD, Use.FOLDED, Use.FOLDED_ARRAY})
_TEXT = type_by_name("text")


def own_type(use: Use, column: ProtectedColumn, default: LogicalType | None) -> LogicalType:
    """The type that a value without one has by its place: the column's, or that of the comparison's operator."""
    if use in _FOLDED:
        return _TEXT
    if default is not None:
        return default
    return compared_as(column.type) if use.is_compared else column.type


def declared_type(column: ProtectedColumn, oid: int, *, is_array: bool) -> LogicalType | None:
    """The type (of the elements of an array) that a client declared by its OID, None for what is not known."""
    if oid == (column.type.array_oid if is_array else column.type.parameter_oid):
        return column.type
    return element_of(oid) if is_array else type_by_oid(oid)


@dataclass(frozen=True, slots=True)
class ParameterUse:
    """One upstream parameter: made from the client's parameter `client_index` (0-based).

    `cast` is the type that the statement's own cast gave the parameter (the
    element type for arrays), if it had one: the value is read as that type,
    then converted to the column's. `default` is the type that the parameter has
    where nothing gives it one; None stands for the column's.
    """

    client_index: int
    use: Use
    column: ProtectedColumn | None = None
    cast: LogicalType | None = None
    default: LogicalType | None = None

    @property
    def type(self) -> LogicalType | None:
        """What the parameter is where the client declares nothing; None for one that passes."""
        given = self.cast or self.default
        return given if given is not None or self.column is None else own_type(self.use, self.column, None)

    @property
    def type_oid(self) -> int:
        """What PostgreSQL says of the parameter in this place beside a plain column, 0 for one that passes."""
        logical = self.type
        if logical is None or self.use.is_array:
            return logical.array_oid if logical is not None else 0
        # only what is stored, or the statement's own cast, makes a parameter one of a domain
        return logical.parameter_oid if self.cast is not None or self.use is Use.SEAL else logical.oid


def sealed_beside(use: ParameterUse, uses: Sequence[ParameterUse]) -> ParameterUse | None:
    """The use that gives the same parameter of the client its type, for one that passes: a parameter has one type."""
    if use.use is not Use.PASS:
        return None
    return next((u for u in uses if u.client_index == use.client_index and u.use is not Use.PASS), None)


@dataclass(frozen=True, slots=True)
class Assigned:
    """The value is first assigned to a parameter of type `declared`, as EXECUTE does with its arguments.

    `given` is the type that it has by itself, None for a literal that has none. Element types for arrays.
    """

    given: LogicalType | None
    declared: LogicalType


@dataclass(frozen=True, slots=True)
class LiteralSlot:
    """A place in the rewritten text that a sealed value or term takes.

    `text` is the literal's value in PostgreSQL's text form, None for NULL;
    an array's is its text form. `cast` and `default` as in ParameterUse. `position`
    is the literal's place in the client's text (1-based, characters), with a cast
    before it; `at` is where it stands itself (0-based).
    """

    text: str | None
    use: Use
    column: ProtectedColumn
    cast: LogicalType | None
    position: int
    default: LogicalType | None = None
    assigned: Assigned | None = None
    at: int = -1

    def __repr__(self) -> str:
        return f"LiteralSlot({self.use.name} {self.column.qualified_name} at {self.position})"


@dataclass(frozen=True, slots=True)
class Splice:
    """How positions map back: `start..end` of the client's text (0-based characters) became `parts`."""

    start: int
    end: int
    parts: tuple[str | LiteralSlot, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """What SQL's PREPARE makes: the statement by itself, and its plan as a Parse of it would have.

    `parameter_type_oids` are the declared types, 0 for one that is none of the logical types.
    """

    name: str
    sql: str = field(repr=False)
    plan: Plan
    parameter_type_oids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of EXECUTE: its characters, and the literals that it is made of.

    `literals` is None for an expression; several when it is `ARRAY[...]`.
    """

    start: int
    end: int
    literals: tuple[Operand, ...] | None
    is_constructor: bool = False


@dataclass(frozen=True, slots=True)
class Execution:
    """SQL's EXECUTE of the prepared statement `name`. What it means is known only beside that statement's plan.

    `arguments_start..arguments_end` are the characters of the argument list with
    its parentheses; both are the same place when there is none.
    """

    name: str
    arguments: tuple[Argument, ...]
    arguments_start: int
    arguments_end: int
    is_explained: bool = False
    makes_table: bool = False


#: For `StatementPlan.deallocates`: all of them. No name is empty.
ALL_PREPARED = ""


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """COPY data with protected columns in them: `columns` per field, with `names`, None for plain ones.

    `table` is the name that errors give as their place; empty for a query.
    `skips_bad_rows` is ON_ERROR ignore. `type_oids` are the columns' types as far
    as they are known, 0 for others. `tenant_at` is the field that names the row's tenant.
    """

    is_from: bool
    table: str
    format: CopyFormat
    columns: tuple[ProtectedColumn | None, ...]
    names: tuple[str, ...]
    skips_bad_rows: bool = False
    type_oids: tuple[int, ...] = ()
    tenant_at: int | None = None


@dataclass(frozen=True, slots=True)
class StatementPlan:
    """One statement of the text.

    `outputs`: per result column the protected column it comes from, or None
    for a column that comes from none; `outputs` itself is None when the
    statement is untouched or returns no rows (then provenance alone decides).
    `refusal` set: the statement was replaced by one that fails. `is_ddl`: may
    change the catalog. `tables`: protected tables touched, for error scrubbing.
    `prepares`, `executes`, `deallocates` (a name, or ALL_PREPARED): SQL's
    PREPARE, EXECUTE and DEALLOCATE, of whose names the session keeps the books.
    `changes_settings`: it may change how texts are read and written (time zone,
    DateStyle, encoding...), which is known only when it was answered;
    `ends_transaction`: it may bring such settings back. `copy`: a COPY whose data
    must be changed on their way. `reshapes`: DDL that may change which columns
    are protected, or what they are called. `command_tag`: what the client gets
    for the tag of what was sent in the statement's place. `of_tenants`: values of
    tenants are opened or sealed (`seals_of_tenants`); `needs_tenant`: the session's
    tenant must be known for it.
    """

    is_untouched: bool = True
    refusal: Refusal | None = None
    outputs: tuple[ProtectedColumn | None, ...] | None = None
    is_ddl: bool = False
    tables: tuple[str, ...] = ()
    prepares: Prepared | None = None
    executes: Execution | None = None
    deallocates: str | None = None
    changes_settings: bool = False
    ends_transaction: bool = False
    copy: CopyPlan | None = None
    reshapes: bool = False
    command_tag: str | None = None
    of_tenants: bool = False
    seals_of_tenants: bool = False
    needs_tenant: bool = False

    @property
    def needs_keys(self) -> bool:
        """Whether values are opened or sealed while it runs."""
        return any(self.outputs or ()) or self.copy is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a whole SQL text (one statement for Parse, any number for Query).

    `pieces` is the rewritten text: str parts and literals to be sealed at send
    time. `parameters` are the upstream parameters in order ($1 first); empty
    when untouched. `client_parameters` is how many the client's text uses.
    `is_optional`: nothing protected is in it, and only what the catalogs say of
    protected columns is rewritten, so the client's text can be sent instead.
    """

    is_untouched: bool
    statements: tuple[StatementPlan, ...] = ()
    pieces: tuple[str | LiteralSlot, ...] = ()
    splices: tuple[Splice, ...] = ()
    parameters: tuple[ParameterUse, ...] = ()
    client_parameters: int = 0
    is_optional: bool = False

    @property
    def length(self) -> int:
        """The characters of the rewritten text that stand in the plan."""
        return sum(len(piece) for piece in self.pieces if isinstance(piece, str))

    @property
    def unwritten(self) -> Plan:
        """The plan of the same text when it is sent as it came, which only an optional plan allows."""
        return Plan(is_untouched=True, statements=self.statements)

    @property
    def refusal(self) -> Refusal | None:
        """The first statement's refusal that the server will reach, if any."""
        return next((s.refusal for s in self.statements if s.refusal is not None), None)

    @property
    def is_ddl(self) -> bool:
        return any(s.is_ddl for s in self.statements)

    @property
    def reshapes(self) -> bool:
        return any(s.reshapes for s in self.statements)

    @property
    def is_about_prepared(self) -> bool:
        """Whether SQL speaks of prepared statements: the session's books say what it means."""
        return any(
            s.prepares is not None or s.executes is not None or s.deallocates is not None for s in self.statements
        )

    @property
    def changes_settings(self) -> bool:
        return any(s.changes_settings for s in self.statements)

    @property
    def of_tenants(self) -> bool:
        return any(s.of_tenants for s in self.statements)

    @property
    def seals_of_tenants(self) -> bool:
        return any(s.seals_of_tenants for s in self.statements)

    @property
    def needs_tenant(self) -> bool:
        return any(s.needs_tenant for s in self.statements)

    @property
    def ends_transaction(self) -> bool:
        return any(s.ends_transaction for s in self.statements)


@dataclass(frozen=True, slots=True)
class NeedsNames:
    """The planner must know what these names mean in the client's own session.

    Each is SQL text for `to_regclass` (quoted as an identifier, qualified if it
    was), or `context.CREATION_SCHEMA` and a schema's name, whose answer is 1 or
    0. Ask the server there, then plan again with the answers.
    """

    names: tuple[str, ...]


UNTOUCHED = Plan(is_untouched=True)
