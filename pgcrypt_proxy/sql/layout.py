"""Where in the text a join's or set operation's words stand, which the tree does not say.

The tree gives places to leaves only. Between the last place of the left operand
and the first place of the right one stands the operator's own word, once; from
there brackets are counted. Whatever is not as expected is refused.
"""

from __future__ import annotations

from typing import Any

from pgcrypt_proxy.sql import operands, refuse
from pgcrypt_proxy.sql.operands import NotAnOperand
from pgcrypt_proxy.sql.parse import Node, ParsedText, nodes

_SET_WORDS = {"SETOP_UNION": "UNION", "SETOP_INTERSECT": "INTERSECT", "SETOP_EXCEPT": "EXCEPT"}
#: Reserved words that end a SELECT without parentheses, where no label can be one.
_ENDS = frozenset({"ORDER", "LIMIT", "OFFSET", "FETCH", "FOR", "UNION", "INTERSECT", "EXCEPT", "RETURNING", "ASCII_59"})
_LABEL_SIGNS = frozenset({"AS", "ASCII_46"})
_BRACKETS = ("ASCII_40", "ASCII_91")


def places(text: ParsedText, node: Any) -> tuple[int, int]:
    """The numbers of the first and the last token that a node of `node` is at. Raises Refusal when it has none."""
    locations = (each.get("location") for each in nodes(node))
    found = [text.to_char(location) for location in locations if isinstance(location, int) and location >= 0]
    if not found or min(found) not in text.token_index or max(found) not in text.token_index:
        raise refuse.form("this spelling of a join or set operation")
    return text.token_index[min(found)], text.token_index[max(found)]


def is_label(text: ParsedText, at: int) -> bool:
    """Whether the token is a name because of what stands before it (`AS order`, `t.order`)."""
    return at > 0 and text.tokens[at - 1].name in _LABEL_SIGNS


def _only(text: ParsedText, word: str, left: Node, right: Node) -> int:
    """The one token `word` between two operands."""
    last, first = places(text, left)[1], places(text, right)[0]
    found = [at for at in range(last + 1, first) if text.tokens[at].name == word and not is_label(text, at)]
    if len(found) != 1:
        raise refuse.form("this spelling of a join or set operation", text.tokens[last].start + 1)
    return found[0]


def closing(text: ParsedText, at: int) -> int:
    """The number of the token that closes the bracket at token `at`."""
    try:
        return text.token_index[operands.closing(text, at) - 1]
    except NotAnOperand:
        raise refuse.form("this spelling of a join or set operation", text.tokens[at].start + 1) from None


def _opening(text: ParsedText, at: int, depth: int) -> int:
    """The opening bracket of level `depth` around token `at`."""
    while at >= 0 and not (text.depths[at] == depth and text.tokens[at].name in _BRACKETS):
        at -= 1
    if at < 0:
        raise refuse.form("this spelling of a set operation")
    return at


def join_word(text: ParsedText, join: Node) -> int:
    """The token JOIN of a JoinExpr."""
    return _only(text, "JOIN", join["larg"], join["rarg"])


def using_clause(text: ParsedText, join: Node) -> tuple[int, int]:
    """The tokens USING and its closing bracket."""
    word = join_word(text, join)
    depth = text.depths[word]
    last = places(text, join["rarg"])[1]
    if "JoinExpr" in join["rarg"] and not (text.tokens[word + 1].name == "ASCII_40" and closing(text, word + 1) > last):
        raise refuse.form("a join inside a join without parentheses", text.tokens[word].start + 1)
    at = last + 1
    while at < len(text.tokens) and text.depths[at] >= depth:
        if text.depths[at] == depth and text.tokens[at].name == "USING" and not is_label(text, at):
            end = closing(text, at + 1)
            if text.tokens[at + 1].name == "ASCII_40" and end - at == 2 * len(join["usingClause"]) + 1:
                return at, end
            break
        at += 1
    raise refuse.form("this spelling of JOIN USING", text.tokens[word].start + 1)


def table_end(text: ParsedText, word: int, node: Node) -> int:
    """The last token of the FROM item that follows the token JOIN at `word`, its alias included."""
    ((kind, tree),) = node.items()
    at = word + 1
    if kind == "RangeVar":
        if text.tokens[at].name == "ONLY":
            at += 1
        at += 2 * sum(key in tree for key in ("catalogname", "schemaname"))
        if text.tokens[at].name == "ASCII_40":
            raise refuse.form("this spelling of a NATURAL JOIN", text.tokens[word].start + 1)
        at += at + 1 < len(text.tokens) and text.tokens[at + 1].name == "ASCII_42"
    else:
        at += text.tokens[at].name == "LATERAL_P"
        if kind not in ("RangeSubselect", "JoinExpr") or text.tokens[at].name != "ASCII_40":
            raise refuse.form("this spelling of a NATURAL JOIN", text.tokens[word].start + 1)
        at = closing(text, at)
        if at < places(text, node)[1]:
            raise refuse.form("a join inside a join without parentheses", text.tokens[word].start + 1)
    alias = tree.get("alias", {})
    if alias:
        at += 2 if text.tokens[at + 1].name == "AS" else 1
        if "colnames" in alias:
            at = closing(text, at + 1)
    return at


def set_word(text: ParsedText, tree: Node) -> int:
    """The token UNION, INTERSECT or EXCEPT of a set operation."""
    return _only(text, _SET_WORDS[tree["op"]], tree["larg"], tree["rarg"])


def set_span(text: ParsedText, tree: Node) -> tuple[int, int]:
    """The first token of a set operation's left operand and the last one of its right operand."""
    depth = text.depths[set_word(text, tree)]
    return _first(text, tree["larg"], depth), _last(text, tree["rarg"], depth)


def select_word(text: ParsedText, tree: Node) -> int:
    """The token SELECT, TABLE or VALUES of a SELECT that is no set operation."""
    words = ("VALUES",) if "valuesLists" in tree else ("SELECT", "TABLE")
    first = places(text, {key: value for key, value in tree.items() if key != "withClause"})[0]
    for is_after_as in (False, True):  # `CREATE VIEW v AS SELECT`, if no other fits
        level = text.depths[first]
        for at in range(first, -1, -1):
            level = min(level, text.depths[at])
            if text.depths[at] == level and text.tokens[at].name in words and (is_after_as or not is_label(text, at)):
                return at
    raise refuse.form("this spelling of a query")


def select_end(text: ParsedText, at: int) -> int:
    """The last token, before ORDER BY, LIMIT and the like, of a SELECT without parentheses that begins at `at`."""
    depth = text.depths[at]
    while at + 1 < len(text.tokens):
        name = text.tokens[at + 1].name
        if text.depths[at + 1] < depth:
            break
        if text.depths[at + 1] == depth and not is_label(text, at + 1):
            following = tuple(token.name for token in text.tokens[at + 2 : at + 4])
            is_conflict = following[:1] == ("CONFLICT",) and following[1:] in (("ASCII_40",), ("DO",), ("ON",))
            if name in _ENDS or (name == "ON" and is_conflict) or (name == "WITH" and following[:1] == ("NO",)):
                break
        at += 1
    return at


def _first(text: ParsedText, tree: Node, depth: int) -> int:
    if "larg" in tree:
        at = set_word(text, tree)
        return _first(text, tree["larg"], depth) if text.depths[at] == depth else _opening(text, at, depth)
    at = select_word(text, tree)
    return at if text.depths[at] == depth else _opening(text, at, depth)


def _last(text: ParsedText, tree: Node, depth: int) -> int:
    if "larg" in tree and text.depths[set_word(text, tree)] == depth:
        return _last(text, tree["rarg"], depth)
    at = _first(text, tree, depth)
    return closing(text, at) if text.tokens[at].name == "ASCII_40" else select_end(text, at)
