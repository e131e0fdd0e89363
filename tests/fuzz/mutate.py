"""The second source: the conformance corpus with tokens changed, and wrapped in other statements."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

from tests.conformance.shapes import Filling, read
from tests.fuzz import schema
from tests.fuzz.checker import Question
from tests.fuzz.samples import Sample, any_variant
from tests.fuzz.spelling import TOKEN, spelled
from tests.fuzz.tree import Tree, defined

#: What depends on the order in which rows are found, on time, or changes the schema: not asked here.
_UNFIT = re.compile(
    r"\b(limit|offset|fetch|row_number|ntile|lag|lead|first_value|last_value|nth_value|array_agg|string_agg|json\w*agg"
    r"|distinct\s+on|now|random|clock_timestamp|current_\w+|local\w+|gen_random_uuid|nextval|currval|setval|lastval"
    r"|create|alter|drop|truncate|copy|do|vacuum|analyze|grant|revoke|lock|listen|notify|call|ctid|xmin|tableoid"
    r"|pg_\w+|information_schema|any_value|mode|percentile\w*|within)\b"
    r"|\bupdate\b.*\bset\b.*\bfrom\b|\binsert\b.*\b(distinct|union|group)\b|\bmerge\b.*\binsert\b"
    r"|on constraint users_email_key"
    r"|\bdelete\b.*\busing\b|set_config"  # which of several rows is returned; names in errors
    r"|\binsert\b(?!.*\border\s+by\b).*\bselect\b.*\bfrom\b",  # its rows' numbers
    re.IGNORECASE | re.DOTALL,
)
_READS = re.compile(r"\s*(select|values|table|explain)\b(?!.*\binto\b)", re.IGNORECASE | re.DOTALL)
_HOLE = re.compile(r"\{([a-z]+?)(\d*):(.*)\}\Z", re.DOTALL)

_COLUMNS = (
    "id",
    "email",
    "name",
    "ssn",
    "born",
    "plain",
    "nick",
    "user_id",
    "contact",
    "note",
    "total",
    "label",
    "price",
)
_TABLES = ("users", "orders", "items", "contacts", "v_users", "logs")
_OPERATORS = ("=", "<>", "IS DISTINCT FROM", "<", "IN")
_WORDS = {
    "and": ("OR",), "or": ("AND",), "left": ("RIGHT", "FULL"), "all": ("",), "union": ("EXCEPT", "INTERSECT"),
    "in": ("NOT IN",), "exists": ("NOT EXISTS",), "where": ("WHERE NOT",), "select": ("SELECT DISTINCT", "SELECT ALL"),
    "count": ("max", "min"), "lower": ("upper",), "any": ("ALL",), "any_value": ("max",), "on": ("ON NOT",),
    "coalesce": ("NULLIF", "GREATEST"), "nullif": ("COALESCE",), "returning": ("RETURNING *,",), "is": ("IS NOT",),
}  # fmt: skip
_VALUES = {
    "email": schema.EMAIL, "contact": schema.CONTACT, "nick": schema.NICK, "ssn": schema.SSN, "born": schema.BORN,
    "total": schema.TOTAL, "name": schema.NAME, "note": schema.NAME, "label": schema.NAME, "text": schema.NAME,
    "n": schema.INT, "id": schema.INT, "price": schema.PRICE,
}  # fmt: skip
_WRAPS: tuple[Callable[[str], str], ...] = (
    lambda q: f"SELECT * FROM ({q}) sub",
    lambda q: f"WITH w AS ({q}) SELECT * FROM w",
    lambda q: f"SELECT count(*) FROM ({q}) sub",
    lambda q: f"EXPLAIN (COSTS OFF) {q}",
    lambda q: f"({q}) UNION ALL ({q})",
    lambda q: f"SELECT i.id FROM items i WHERE EXISTS ({q})",
    lambda q: f"SELECT i.id, l.* FROM items i LEFT JOIN LATERAL ({q}) l ON i.id < 3",
    lambda q: f"BEGIN;\nDECLARE c CURSOR FOR {q};\nFETCH ALL FROM c;\nCOMMIT",
    lambda q: f"PREPARE p AS {q};\nEXECUTE p;\nEXECUTE p",
    lambda q: f"WITH users AS ({q}) SELECT * FROM users",
    lambda q: f"SELECT id FROM users WHERE email IN ({q})",
    lambda q: f"SELECT DISTINCT * FROM ({q}) sub",
    lambda q: f"SELECT sub FROM ({q}) sub",
)

_SHAPES = [shape.text for shape in read() if not _UNFIT.search(shape.text)]


def from_corpus(seed: int) -> Sample | None:
    """A shape, changed; None when the change made it unfit."""
    rng = random.Random(seed)
    text = rng.choice(_SHAPES)
    tags = set()
    tokens = TOKEN.findall(text)
    for _ in range(rng.randint(1, 3)):
        number = rng.randrange(len(tokens))
        made, tag = _changed(tokens[number], rng)
        if tag:
            tokens[number] = made
            tags.add(tag)
    if rng.random() < 0.1:
        number = rng.randrange(len(tokens))
        tokens[number : number + 1] = rng.choice(([], [tokens[number]] * 2))
        tags.add("token lost or doubled")
    text = defined("".join(tokens))
    if rng.random() < 0.35 and ";" not in text and re.match(r"select|with|values", text, re.IGNORECASE):
        number = rng.randrange(len(_WRAPS))
        text = defined(_WRAPS[number](text))
        tags.add(f"wrap {_WRAPS[number]('...').splitlines()[0]}")
    if _UNFIT.search(text.replace("FETCH ALL", "")):
        return None
    tree = tree_of(TOKEN.findall(text))
    variant = any_variant(rng, text)
    if variant.filling is not Filling.LITERAL:
        text = re.sub(r"\}(?=\w)", "} ", text)  # the parser of some versions wants it
    sent = text
    if rng.random() < 0.15:
        tags.add("odd spelling")
        sent = spelled(text, seed)
    question = Question(sent, variant, is_write=not _READS.match(text) or ";" in text)
    is_touching = re.search(r"users|orders", text) is not None
    return Sample(f"corpus {seed}", tree, question, frozenset(f"corpus: {tag}" for tag in tags), is_touching)


def another_value(token: str, rng: random.Random, *, is_odd: bool = False) -> str | None:
    """Another value of its kind in a hole, with `is_odd` also one that is stored otherwise; None for no such hole."""
    hole = _HOLE.match(token)
    if hole is None or hole[1] not in _VALUES:
        return None
    literals = _VALUES[hole[1]].literals
    choices = (*literals, *literals, *schema.STORED.get(hole[1], ())) if is_odd else literals
    return f"{{{hole[1]}{hole[2]}:{rng.choice((*choices, 'NULL'))}}}"


def _changed(token: str, rng: random.Random) -> tuple[str, str]:
    """Another token in place of one, and what kind of change it was."""
    folded = token.lower()
    value = another_value(token, rng)
    if value is not None:
        return value, "another value"
    if folded in _COLUMNS:
        return rng.choice(_COLUMNS), "another column"
    if folded in _TABLES:
        return rng.choice(_TABLES), "another table"
    if token in ("=", "<>", "!="):
        return rng.choice(_OPERATORS), "another operator"
    if folded in _WORDS:
        return rng.choice(_WORDS[folded]), "another word"
    return token, ""


def tree_of(tokens: list[str]) -> Tree:
    """A tree of halves, so that shrinking leaves out long stretches first."""
    if len(tokens) == 1:
        return Tree("token", (tokens[0],), is_optional=True)
    middle = len(tokens) // 2
    return Tree("tokens", (tree_of(tokens[:middle]), tree_of(tokens[middle:])), is_optional=True)
