"""YAML 1.2 of its core schema, strictly: what a configuration is written in."""

import re
from collections.abc import Callable
from typing import Any

import yaml

from amp_tf.errors import InputError

LONGEST, DEEPEST = 1_000_000, 20
"""Characters of a configuration, and how deep its lists and mappings may be nested."""

_CORE = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """Refuses keys given twice, keys that are no text, aliases and tags of no core type; ``no`` is text and ``1:30`` is no number."""

    yaml_implicit_resolvers: dict = {}
    yaml_constructors: dict = {}
    depth = 0

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):
            raise _error("aliases are not read; write the values out", self.peek_event().start_mark)
        self.depth += 1
        if self.depth > DEEPEST:
            raise _error(f"nested deeper than {DEEPEST} levels", self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _error(problem: str, mark: yaml.Mark) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise _error(f"the key {str(key)[:60]} is no text; put it in quotes", key_node.start_mark)
        if key in values:
            raise _error(f"the key {key[:60]!r} is given twice", key_node.start_mark)
        values[key] = loader.construct_object(value_node, deep=True)
    return values


def _sequence(loader: _Loader, node: yaml.SequenceNode) -> list:
    return [loader.construct_object(item, deep=True) for item in node.value]


def _scalar(pattern: re.Pattern, read: Callable[[str], Any]) -> Callable:
    def construct(loader: _Loader, node: yaml.Node):
        if not isinstance(node, yaml.ScalarNode) or not pattern.fullmatch(node.value):
            raise _error(f"{str(node.value)[:60]!r} is no value of type {node.tag.removeprefix(_CORE)}", node.start_mark)
        return read(node.value)

    return construct


def _whole(text: str) -> int:
    return int(text[2:], {"0o": 8, "0x": 16}[text[:2]]) if text[:2] in ("0o", "0x") else int(text)


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _unknown(loader: _Loader, node: yaml.Node):
    raise _error(f"the tag {node.tag.removeprefix(_CORE)!r} has no meaning here", node.start_mark)


for _name, _text, _first, _read in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""], lambda text: None),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF"), lambda text: text.lower() == "true"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789"), _whole),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.0123456789"), _real),
):
    _Loader.add_implicit_resolver(_CORE + _name, re.compile(rf"(?:{_text})\Z"), _first)
    _Loader.add_constructor(_CORE + _name, _scalar(re.compile(_text), _read))
_Loader.add_constructor(_CORE + "str", _scalar(re.compile(r"(?s).*"), str))
_Loader.add_constructor(_CORE + "seq", _sequence)
_Loader.add_constructor(_CORE + "map", _mapping)
_Loader.add_constructor(None, _unknown)


def read_yaml(text: str) -> Any:
    """The content of a YAML document.

    Raises:
        InputError: for what is no YAML of this kind, with line and column.
    """
    if len(text) > LONGEST:
        raise InputError(f"not valid YAML (longer than {LONGEST:,} characters).")
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"not valid YAML ({' '.join(str(error).split())[:300]}).") from error
