"""Which statements may change the settings that decide how values are read and written as text."""

from __future__ import annotations

from pgcrypt_proxy.sql.mention import Mentions
from pgcrypt_proxy.sql.parse import Node

#: Run-time parameters on which sealing, opening, or the reading of the SQL text itself depends.
TEXT_SETTINGS = frozenset(
    {"timezone", "datestyle", "intervalstyle", "client_encoding", "bytea_output", "standard_conforming_strings"}
)
_ALL = frozenset({"VAR_RESET_ALL"})
#: What the meaning of a name without schema depends on.
_PATH_SETTINGS = frozenset({"search_path", "role", "session_authorization"})
#: All other statements may change the search_path, or the relations in it. An index is a relation, too, but one that
#: no query can read.
_MOVE_NOTHING = frozenset(
    {
        "SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "CopyStmt", "TruncateStmt", "LockStmt",
        "PrepareStmt", "DeallocateStmt", "DeclareCursorStmt", "FetchStmt", "ClosePortalStmt",
        "AlterTableStmt", "IndexStmt", "CommentStmt",
        "VariableShowStmt", "ListenStmt", "UnlistenStmt", "NotifyStmt", "CheckPointStmt", "ConstraintsSetStmt",
    }
)  # fmt: skip
_ENDS = frozenset({"TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK", "TRANS_STMT_ROLLBACK_TO", "TRANS_STMT_PREPARE"})


def changes_settings(kind: str, tree: Node, found: Mentions) -> bool:
    """Whether the statement may change one of TEXT_SETTINGS."""
    if kind == "VariableSetStmt":
        return bool(tree.get("kind") in _ALL or str(tree.get("name", "")).lower() in TEXT_SETTINGS)
    if kind == "DiscardStmt":
        return bool(tree.get("target", "DISCARD_ALL") == "DISCARD_ALL")
    return any(name == "set_config" for name, _ in found.functions)


def moves_names(kind: str, tree: Node, found: Mentions) -> bool:
    """Whether names may mean other relations behind the statement: by search_path, role, transaction or DDL."""
    if kind == "VariableSetStmt":
        return bool(tree.get("kind") in _ALL or str(tree.get("name", "")).lower() in _PATH_SETTINGS)
    if kind == "TransactionStmt":
        return ends_transaction(kind, tree)
    is_known = kind in _MOVE_NOTHING and "intoClause" not in tree
    return not is_known or any(name == "set_config" for name, _ in found.functions)


def ends_transaction(kind: str, tree: Node) -> bool:
    """Whether the statement ends a transaction or goes back in it, and settings with it."""
    return kind == "TransactionStmt" and tree.get("kind") in _ENDS


#: Statements that set nothing by themselves.
_SET_NOTHING = frozenset({"SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt"})
_BEGINS = frozenset({"TRANS_STMT_BEGIN", "TRANS_STMT_START", "TRANS_STMT_SAVEPOINT", "TRANS_STMT_RELEASE"})


def keeps_tenant(kind: str, tree: Node, found: Mentions) -> bool:
    """Whether pgcrypt.tenant is certain to be the same behind the statement: a function may set it."""
    if kind == "TransactionStmt":
        return tree.get("kind", "TRANS_STMT_BEGIN") in _BEGINS
    return kind in _SET_NOTHING and not found.functions
