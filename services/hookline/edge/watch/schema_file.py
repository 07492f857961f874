"""A JSON Schema, checked and compiled: says of a body whether it is allowed, and if not, where.

`jsonschema-rs` is compiled without any way to fetch something, and with patterns that take time in proportion to the
text (docs/decisions/0011-schema-watch.md).
"""

import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hookline.core.shape.body import UNREADABLE
from hookline.core.shape.finding import SchemaFinding
from hookline.core.shape.path import ANY, ITEMS, ROOT, name_step
from hookline.errors import ConfigError

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from jsonschema_rs import ValidationError, Validator

_LARGEST_FILE = 4 * 1024 * 1024
_DEEPEST = 100
"""Levels of a body. The validator recurses: 100,000 end the process, where a schema refers to itself."""
_LARGEST_LOCATED = 64 * 1024
"""Bytes of a body. To say where one is wrong, the validator copies the value: a tenth of a second for a megabyte."""
_LONGEST_PATH = 512
_REFERENCES = (b"$ref", b"$dynamicRef", b"$recursiveRef", b"\\u")
"""How a schema may come to refer to itself; the last one, because a keyword can be written with escapes."""
_NOT_JSON = SchemaFinding("json", "", ROOT)
_TOO_DEEP = SchemaFinding("size", "", ROOT)
_SOMEWHERE = SchemaFinding("size", "#", ROOT)


class JsonSchema:
    """One schema, ready to judge."""

    def __init__(self, validator: "Validator", names: frozenset[str], *, refers: bool) -> None:
        self._validator = validator
        self._refers = refers
        """Whether it has references, so that it may go as deep as a body does."""
        self.names = names
        """Keys that the schema speaks of: names for sure, no data."""

    def __repr__(self) -> str:
        return f"<JsonSchema names={len(self.names)}>"

    def judge(self, value: Any, body: bytes) -> SchemaFinding | None:
        """What the schema doesn't allow first; None if it allows the body.

        Args:
            value: What `shape_body.read` answers to the body.
            body: As it was verified.
        """
        if value is UNREADABLE:
            return _NOT_JSON
        # Only where there are enough brackets is it worth a walk; those within strings do no harm.
        brackets = body.count(b"[") + body.count(b"{") if self._refers else 0
        if brackets > _DEEPEST and is_deeper(value, _DEEPEST):
            return _TOO_DEEP
        try:
            return self._judge_all(value, len(body))
        except ValueError:  # "Recursion limit reached"
            return _TOO_DEEP

    def _judge_all(self, value: Any, size: int) -> SchemaFinding | None:
        try:
            return self._validate(value, size)
        except UnicodeEncodeError:
            # The validator's texts are UTF-8, which has no lone surrogates.
            whole = json.dumps(value, ensure_ascii=False).encode(errors="replace")
            return self._validate(json.loads(whole), size)

    def _validate(self, value: Any, size: int) -> SchemaFinding | None:
        if self._validator.is_valid(value):
            return None
        return _SOMEWHERE if size > _LARGEST_LOCATED else self._locate(value)

    def _locate(self, value: Any) -> SchemaFinding:
        import jsonschema_rs  # noqa: PLC0415  (loaded with the schema)

        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return self._explain(error)
        return _SOMEWHERE

    def _explain(self, error: "ValidationError") -> SchemaFinding:
        """The place of an error without its message, which quotes the body."""
        keyword = error.kind.name
        if keyword == "falseSchema" and error.schema_path:
            keyword = str(error.schema_path[-1])
        path = ROOT + "".join(self._step(part) for part in error.instance_path)
        missing = getattr(error.kind, "property", None)
        if isinstance(missing, str):
            path += self._step(missing)
        pointer = "".join("/" + _escaped(str(part)) for part in error.schema_path)
        return SchemaFinding(keyword, _cut("#" + pointer), _cut(path))

    def _step(self, part: str | int) -> str:
        if isinstance(part, int):
            return ITEMS
        return name_step(part) if part in self.names else ANY


def load(key: str, file: Path) -> JsonSchema:
    """Read a schema.

    Args:
        key: The setting that names it.
        file: Where it is.

    Raises:
        ConfigError: It can't be read, or is no schema, or needs something beyond itself.
    """
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(f"{key}: {file}: can't be read: {error.strerror or type(error).__name__}") from None
    if len(text) > _LARGEST_FILE:
        raise ConfigError(f"{key}: {file}: is larger than {_LARGEST_FILE >> 20} MiB; is it a JSON Schema?")
    return compile_schema(f"{key}: {file}", text)


def shipped(preset: str) -> dict[str, JsonSchema]:
    """The schemas that come along for a preset, by event type."""
    found = {}
    for file in sorted(_shipped_files(preset), key=lambda file: file.name):
        found[file.name.removesuffix(".json")] = compile_schema(file.name, file.read_bytes())
    return found


def _shipped_files(preset: str) -> "Iterator[Traversable]":
    folder = resources.files("hookline.edge.schemes") / "schemas" / preset
    if folder.is_dir():
        yield from (file for file in folder.iterdir() if file.name.endswith(".json"))


def compile_schema(where: str, text: bytes) -> JsonSchema:
    """Check and compile a schema.

    Raises:
        ConfigError: It is none, or needs something beyond itself.
    """
    # Only who has a schema pays the 10 MiB that the library takes.
    import jsonschema_rs  # noqa: PLC0415

    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: not JSON: {error}") from None
    if not isinstance(schema, dict | bool):
        raise ConfigError(f"{where}: not a JSON Schema: it must be an object, or true or false")
    try:
        validator = jsonschema_rs.validator_for(
            schema, offline=True, pattern_options=jsonschema_rs.RegexOptions(), validate_formats=False
        )
    except jsonschema_rs.ReferencingError as error:
        raise ConfigError(f"{where}: {_advice(str(error.message))}") from None
    except jsonschema_rs.ValidationError as error:
        place = "#" + "".join("/" + _escaped(str(part)) for part in error.instance_path)
        raise ConfigError(f"{where}: at {place}: {_advice(error.message)}") from None
    except ValueError as error:
        raise ConfigError(f"{where}: can't be compiled: {error}") from None
    return JsonSchema(validator, frozenset(_names(schema)), refers=any(word in text for word in _REFERENCES))


def _advice(message: str) -> str:
    if "etriev" in message:
        return "$ref must stay within the file, such as #/$defs/NAME: nothing is fetched"
    if message.endswith('is not a "regex"'):
        return f"{message}; look-around, back-references and very large repetitions can't be used in patterns"
    return message


def _names(schema: Any) -> Iterator[str]:
    """The keys that a schema names anywhere."""
    left = [schema]
    while left:
        part = left.pop()
        if isinstance(part, list):
            left += part
        elif isinstance(part, dict):
            for keyword in ("properties", "dependentRequired", "dependentSchemas"):
                named = part.get(keyword)
                if isinstance(named, dict):
                    yield from named
            required = part.get("required")
            if isinstance(required, list):
                yield from (name for name in required if isinstance(name, str))
            left += part.values()


def is_deeper(value: Any, deepest: int) -> bool:
    """Whether arrays and objects are nested deeper than that."""
    level = [value]
    for _ in range(deepest):
        level = [part for part in level if type(part) is dict or type(part) is list]
        if not level:
            return False
        level = [child for part in level for child in (part.values() if type(part) is dict else part)]
    return any(type(part) is dict or type(part) is list for part in level)


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_PATH else text[:_LONGEST_PATH] + "…"
