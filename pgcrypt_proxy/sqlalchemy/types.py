"""The column type: values are sealed when they are bound, opened when they are fetched, and compared by their terms."""

from __future__ import annotations

from typing import Any

from sqlalchemy import LargeBinary, bindparam, func
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import operators
from sqlalchemy.sql.elements import BinaryExpression, BindParameter, ColumnElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql.plan import Use
from pgcrypt_proxy.sqlalchemy import guard
from pgcrypt_proxy.sqlalchemy.of_tenant import OfTenant
from pgcrypt_proxy.sqlalchemy.sealer import Sealer
from pgcrypt_proxy.sqlalchemy.unwrapped import SealedColumnError, as_it_is

_NULL_TESTS = frozenset({operators.is_, operators.is_not})
_ONE = frozenset({operators.eq, operators.ne})
_MANY = frozenset({operators.in_op, operators.not_in_op})
_PATTERNS = {operators.ilike_op: operators.eq, operators.not_ilike_op: operators.ne}


def _refused(what: str, column: str, hint: str) -> SealedColumnError:
    return as_it_is(Refusal(f'{what} is not possible on sealed column "{column}"', hint=hint))


def made(op: Any, one: ColumnElement[Any], other: Any) -> ColumnElement[Any]:
    """`one op other`, typed."""
    comparison: ColumnElement[Any] = op(one, other)
    return comparison


class Term(TypeDecorator[Any]):
    """What a sealed column is compared by: the database gives bytes, and Python's values become terms."""

    impl = LargeBinary
    cache_ok = True

    def __init__(self, sealer: Sealer, column: str, use: Use = Use.TERM, tenant: str = "") -> None:
        super().__init__()
        self.sealer = sealer
        self.column = column
        self.use = use
        self.tenant = tenant

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        return None if value is None else self.sealer.term(self.column, value, self.use, self.tenant)

    def process_literal_param(self, value: Any, dialect: Dialect) -> str:
        raise _refused("a literal", self.column, "Let it be a parameter.")

    def __repr__(self) -> str:
        return f"Term({self.column!r})"


class Sealed(TypeDecorator[Any]):
    """A column that holds envelopes. `column` is its name in the rules: `table.column` or `schema.table.column`.

    Values are those that psycopg has for the column's declared type. `tenant` is the column that names the tenants,
    where the rule says that one does.
    """

    impl = LargeBinary
    cache_ok = True

    def __init__(self, sealer: Sealer, column: str, tenant: str = "") -> None:
        super().__init__()
        self.sealer = sealer
        self.column = column
        self.tenant = tenant
        guard.watch()

    def process_bind_param(self, value: Any, dialect: Dialect) -> bytes | None:
        if value is None:
            return None
        of = value if isinstance(value, OfTenant) else None
        return self.sealer.seal(self.column, value if of is None else of.value, self.tenant, of)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self.sealer.unseal(self.column, bytes(value), self.tenant)

    def process_literal_param(self, value: Any, dialect: Dialect) -> str:
        raise _refused("a literal", self.column, "Let it be a parameter.")

    def term(self, use: Use = Use.TERM) -> Term:
        """The type of what the column is compared by."""
        return Term(self.sealer, self.column, use, self.tenant)

    def coerce_compared_value(self, op: Any, value: Any) -> TypeEngine[Any]:
        return self

    def compare_values(self, x: Any, y: Any) -> bool:
        return bool(x == y)

    def __repr__(self) -> str:
        return f"Sealed({self.column!r})"

    class Comparator(TypeDecorator.Comparator[Any]):
        """Comparisons become ones of terms; all that ciphertext cannot answer is refused."""

        __slots__ = ()

        def operate(self, op: Any, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
            operand = other[0] if other else None
            if op in _NULL_TESTS or (op in _ONE and operand is None):
                return super().operate(op, *other, **kwargs)
            if op in _ONE:
                return self._compared(op, operand)
            if op in _MANY and isinstance(operand, list | tuple | set | frozenset | BindParameter):
                if isinstance(operand, BindParameter):
                    listed = operand._with_binary_element_type(self._term(Use.TERM))
                else:
                    listed = bindparam(None, list(operand), type_=self._term(Use.TERM), expanding=True, unique=True)
                return made(op, self._function("eq", Use.TERM), listed)
            if op in _PATTERNS and isinstance(operand, str) and kwargs.get("escape") is None:
                return made(_PATTERNS[op], self._function("eqci", Use.PATTERN), operand)
            raise self._refusal(op)

        def reverse_operate(self, op: Any, other: Any, **kwargs: Any) -> ColumnElement[Any]:
            if op in _ONE:
                return self._compared(op, other)
            raise self._refusal(op)

        @property
        def _sealed(self) -> Sealed:
            type_ = self.expr.type
            assert isinstance(type_, Sealed)
            return type_

        def _compared(self, op: Any, operand: Any) -> ColumnElement[Any]:
            one = self._function("eq", Use.TERM)
            if isinstance(operand, BindParameter):
                return made(op, one, operand._with_binary_element_type(self._term(Use.TERM)))
            clause = operand.__clause_element__() if hasattr(operand, "__clause_element__") else operand
            if not isinstance(clause, ColumnElement):
                return made(op, one, clause)
            if not isinstance(clause.type, Sealed) or not guard.is_column(clause):
                raise self._refusal(op, "Compare it with a value, or with a sealed column of the same index domain.")
            # whether they are of one index domain is known when the keys are open: the guard asks
            comparison = made(op, one, func.pgcrypt.eq(clause, type_=clause.type.term()))
            if isinstance(comparison, BinaryExpression):
                # SQLAlchemy looks for columns in lists by ==: its truth is that they are the same one
                comparison._orig = (hash(self.expr), hash(clause))
            return comparison

        def _term(self, use: Use) -> Term:
            return self._sealed.term(use)

        def _function(self, name: str, use: Use) -> ColumnElement[Any]:
            if not guard.is_column(self.expr):
                raise _refused("comparison of an expression", self._sealed.column, "Compare the column itself.")
            return getattr(func.pgcrypt, name)(self.expr, type_=self._term(use))  # type: ignore[no-any-return]

        def _refusal(self, op: Any, hint: str = "Select the column and do this in the application.") -> Exception:
            return _refused(getattr(op, "__name__", "an operator").removesuffix("_op"), self._sealed.column, hint)

    comparator_factory = Comparator
