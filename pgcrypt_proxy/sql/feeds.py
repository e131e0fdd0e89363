"""Values that a statement holds itself and hands on by a column's name: `(VALUES (1, 'a')) AS v (id, email)`.

What they become is known only where the name is used: sealed where it is stored
in a protected column, a term where it is compared with one, nothing otherwise.
So a derived column carries a `Feed`; each use makes its demand; demands that
differ are refused, and at the end every feed is settled as it was demanded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pgcrypt_proxy.errors import Refusal
from pgcrypt_proxy.sql import refuse
from pgcrypt_proxy.sql.catalog import ProtectedColumn
from pgcrypt_proxy.sql.parse import Node
from pgcrypt_proxy.sql.plan import Use


@dataclass(slots=True, eq=False)
class Feed:
    """The operands behind one derived column, one for each row; or one array, as unnest() takes it.

    `scope` is where the operands stand (a `scope.Scope`). `parts` are the feeds
    of a UNION ALL's branches, or the one feed that `outer_cast` is a cast of;
    such a feed has no nodes of its own. `is_nested`: they
    stand in a subquery, where PostgreSQL takes what has no type as text;
    `is_cast`: the use casts the column to the type that is needed.
    `label` is the output's name where the statement gives it none: it must
    outlive what the operand becomes.
    """

    nodes: tuple[Node, ...]
    scope: Any
    is_array: bool = False
    parts: tuple[Feed, ...] = ()
    outer_cast: Node | None = None
    is_nested: bool = False
    is_cast: bool = False
    demand: tuple[Use, ProtectedColumn] | None = None
    is_plain: bool = False
    label: str | None = None

    def use_as(self, use: Use, column: ProtectedColumn, position: int | None) -> None:
        """Demand envelopes (SEAL) or terms (TERM) of `column`. Raises Refusal for a second, other demand."""
        for part in self.parts:
            part.use_as(use, column, position)
        known = self.demand
        if self.is_plain or (known is not None and (known[0] is not use or known[1].id != column.id)):
            raise self._conflict(column, position)
        self.demand = use, column

    def nest(self) -> None:
        """The values are those of a subquery's column."""
        self.is_nested = True
        for part in self.parts:
            part.nest()

    def cast(self) -> None:
        """The use casts them to the type of the column that they are for."""
        self.is_cast = True
        for part in self.parts:
            part.cast()

    def use_plain(self) -> None:
        """Demand the values as they are. Raises Refusal when they have become something else."""
        for part in self.parts:
            part.use_plain()
        if self.demand is not None:
            raise self._conflict(self.demand[1], None)
        self.is_plain = True

    def _conflict(self, column: ProtectedColumn, position: int | None) -> Refusal:
        return refuse.construct(
            column,
            "a value that is used in two ways",
            position,
            hint="Pass the value twice, once for each use.",
        )
