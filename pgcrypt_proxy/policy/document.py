"""YAML with places: every value knows its file and line, duplicate keys are errors.

Only what rule files need: mappings, sequences and scalars; no tags, aliases stay YAML's.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

import yaml

from pgcrypt_proxy.errors import PolicyError

MAX_FILE_BYTES = 1 << 20


def read(path: Path) -> yaml.Node:
    """The file's document. Raises PolicyError naming file and line."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise PolicyError(f"{path} cannot be read: {error.strerror}", hint="Check --rules.") from None
    if len(raw) > MAX_FILE_BYTES:
        raise PolicyError(f"{path} is longer than {MAX_FILE_BYTES} bytes")
    try:
        node = yaml.compose(raw.decode(), Loader=yaml.SafeLoader)
    except UnicodeDecodeError:
        raise PolicyError(f"{path} is not UTF-8") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{path}:{line}: {error.problem or 'this is not YAML'}") from None
    except (yaml.YAMLError, RecursionError):
        raise PolicyError(f"{path}: this is not YAML") from None
    if node is None:
        raise PolicyError(f"{path}:1: the file is empty", hint="It needs version, keyring and columns.")
    return node


def place(node: yaml.Node) -> str:
    """`line` of the node, counted from 1."""
    return str(node.start_mark.line + 1)


def mapping(path: Path, node: yaml.Node, known: Iterable[str], what: str) -> dict[str, yaml.Node]:
    """The node's members. Raises PolicyError for no mapping, unknown keys (naming the nearest) and repeated ones."""
    if not isinstance(node, yaml.MappingNode):
        raise PolicyError(f"{path}:{place(node)}: {what} must be a mapping (key: value)")
    known = list(known)
    members: dict[str, yaml.Node] = {}
    for key_node, value in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else ""
        if key not in known:
            raise PolicyError(
                f'{path}:{place(key_node)}: {what} has no key "{key}"', hint=nearest(key, known), sqlstate="F0000"
            )
        if key in members:
            raise PolicyError(f'{path}:{place(key_node)}: key "{key}" stands twice in {what}', hint="Remove one.")
        members[key] = value
    return members


def nearest(word: str, known: list[str]) -> str:
    """A hint with the nearest right spelling, or all of them."""
    found = difflib.get_close_matches(word, known, 1)
    return f'Did you mean "{found[0]}"?' if found else "Known: " + ", ".join(known) + "."


def text(path: Path, node: yaml.Node, what: str) -> str:
    """A scalar's text. Raises PolicyError for anything else, and for an empty one."""
    if not isinstance(node, yaml.ScalarNode) or not node.value.strip() or node.tag.endswith(":null"):
        raise PolicyError(f"{path}:{place(node)}: {what} must be a text")
    return str(node.value)


def items(path: Path, node: yaml.Node, what: str) -> list[yaml.Node]:
    """A sequence's nodes. Raises PolicyError."""
    if not isinstance(node, yaml.SequenceNode):
        raise PolicyError(f"{path}:{place(node)}: {what} must be a list")
    return list(node.value)
