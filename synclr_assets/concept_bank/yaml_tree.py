"""One YAML text as a tree of dictionaries, lists and words, with nothing guessed.

Refuses what can harm or mislead: tags, aliases, doubled keys, deep nesting, several documents, bytes that are
no UTF-8. Numbers and truth values stay as they were written; the fields that want them read them.
"""

import re
from dataclasses import dataclass

import yaml

from synclr_assets.concept_bank.problems import RefusedError, quote

MAX_DEPTH = 16
"""Levels of nesting; the schema needs four, and thousands would overflow the stack of the C parser."""

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_KINDS = {
    "tag:yaml.org,2002:bool": "a true/false value",
    "tag:yaml.org,2002:int": "a number",
    "tag:yaml.org,2002:float": "a number",
    "tag:yaml.org,2002:null": "nothing",
    "tag:yaml.org,2002:timestamp": "a date",
    "tag:yaml.org,2002:merge": "a merge of mappings",
    "tag:yaml.org,2002:value": "a default value",
}
_TEXT_TAG = "tag:yaml.org,2002:str"
_LIST_TAG = "tag:yaml.org,2002:seq"
_MAPPING_TAG = "tag:yaml.org,2002:map"


@dataclass(frozen=True)
class Plain:
    """An unquoted word that YAML takes for something else than text: `no`, `7`, `~`, `2024-01-01`."""

    kind: str
    """What YAML takes it for, in words."""
    raw: str
    """The word as written."""


Tree = str | Plain | list["Tree"] | dict[str, "Tree"]


def parse_yaml(content: bytes) -> Tree | None:
    """The tree of one YAML document in UTF-8 (a byte-order mark is fine); None when it holds nothing.

    Raises `RefusedError` with the byte position of wrong encoding and the line of everything else.
    """
    text = _decode(content)
    unprintable = _UNPRINTABLE.search(text)
    if unprintable:
        line = text.count("\n", 0, unprintable.start()) + 1
        code = f"U+{ord(unprintable.group()):04X}"
        raise RefusedError(
            f"line {line}", f"the control character {code} is not allowed in YAML", "delete it"
        )
    loader = _BoundedLoader(text)
    try:
        root = loader.get_single_node()
    except yaml.YAMLError as error:
        raise _broken(error) from error
    finally:
        loader.dispose()
    return None if root is None else _tree_of(root, set())


# The C loader is ten times faster; the pure one stands in where PyYAML was built without libyaml.
_Loader: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _BoundedLoader(_Loader):
    """Composes nodes, never objects, and stops before nesting can overflow the stack."""

    depth = 0

    def descend_resolver(self, _parent: object, _index: object) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _too_deep()

    def ascend_resolver(self) -> None:
        self.depth -= 1


def _decode(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        raise RefusedError(
            "", f"the byte 0x{byte:02x} at position {error.start} is not UTF-8", "save the file as UTF-8"
        ) from error


def _too_deep() -> RefusedError:
    return RefusedError("", f"is nested deeper than {MAX_DEPTH} levels", "flatten it to the documented keys")


def _broken(error: yaml.YAMLError) -> RefusedError:
    mark = getattr(error, "problem_mark", None)
    field = f"line {mark.line + 1}" if mark else ""
    reason = getattr(error, "problem", None) or "it cannot be parsed"
    if "nesting depth" in reason:  # newer parsers refuse by themselves what nobody means
        return _too_deep()
    if "expected a single document" in (getattr(error, "context", None) or ""):
        return RefusedError(field, "a second YAML document begins", "keep one document per file")
    return RefusedError(field, f"broken YAML: {reason}", "mend the indentation, colons or quotes there")


def _tree_of(node: yaml.Node, seen: set[int]) -> Tree:
    """`node` as plain data; a node met twice is an alias, which could grow without bound, and is refused."""
    if id(node) in seen:
        raise RefusedError(
            _line(node), "a YAML alias repeats this part", "write it out instead of using & and *"
        )
    seen.add(id(node))
    if isinstance(node, yaml.ScalarNode):
        return _word_of(node)
    if isinstance(node, yaml.SequenceNode) and node.tag == _LIST_TAG:
        return [_tree_of(child, seen) for child in node.value]
    if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING_TAG:
        return _mapping_of(node, seen)
    raise _tagged(node)


def _word_of(node: yaml.ScalarNode) -> str | Plain:
    if node.tag == _TEXT_TAG:
        return str(node.value)
    if node.tag not in _KINDS:
        raise _tagged(node)
    return Plain(_KINDS[node.tag], node.value)


def _mapping_of(node: yaml.MappingNode, seen: set[int]) -> dict[str, Tree]:
    mapping: dict[str, Tree] = {}
    for key_node, value_node in node.value:
        key = _tree_of(key_node, seen)
        if isinstance(key, list | dict):
            raise RefusedError(
                _line(key_node), "a key is itself a list or mapping", "use a plain word as the key"
            )
        name = key.raw if isinstance(key, Plain) else key
        if name in mapping:
            raise RefusedError(_line(key_node), f"key {quote(name)} is given twice", "keep one of the two")
        mapping[name] = _tree_of(value_node, seen)
    return mapping


def _tagged(node: yaml.Node) -> RefusedError:
    tag = node.tag.replace("tag:yaml.org,2002:", "!!")
    return RefusedError(_line(node), f"the YAML tag {quote(tag)} is refused", "remove the tag")


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
