"""Find a few texts in a JSON body; nothing else of it is built."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from hookline.config.selector import Selector

LONGEST = 512
"""Characters of a text that is used as a key. What is far beyond that isn't one."""
_LONGEST_NUMBER = 40
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
_NOTHING: Mapping[str, str] = {}


class _Node:
    """A step of the JSON Pointers that are looked for: reads one object or array, and leaves the rest alone."""

    def __init__(self, pointer: str) -> None:
        self.pointer = pointer
        self.children: dict[str, _Node] = {}
        self.wanted = False

    def add(self, path: Sequence[str]) -> None:
        if not path:
            self.wanted = True
            return
        step, *rest = path
        escaped = step.replace("~", "~0").replace("/", "~1")
        self.children.setdefault(step, _Node(f"{self.pointer}/{escaped}")).add(rest)

    def compile(self) -> None:
        """Make the decoders, once all pointers are known."""
        self._names = tuple(self.children)
        fields = [
            (f"f{number}", msgspec.Raw | msgspec.UnsetType, msgspec.field(default=msgspec.UNSET, name=name))
            for number, name in enumerate(self._names)
        ]
        self._attributes = tuple(name for name, *_ in fields)
        self._object = msgspec.json.Decoder(msgspec.defstruct("Places", fields, gc=False))
        self._array = msgspec.json.Decoder(list[msgspec.Raw])
        self._has_indexes = any(_index(name) is not None for name in self._names)
        for child in self.children.values():
            child.compile()

    def shape(self) -> Any:
        """The type of this step's value in a document that looks as expected: objects, with texts or whole numbers."""
        if not self.children:
            return str | int
        fields = [
            (name, child.shape() | msgspec.UnsetType, msgspec.field(default=msgspec.UNSET, name=step))
            for name, (step, child) in zip(self._attributes, self.children.items(), strict=True)
        ]
        return msgspec.defstruct("Document", fields, gc=False)

    def leaves(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """The pointers below, with the attributes that lead to them in a document of that shape."""
        if not self.children:
            yield self.pointer, ()
        for name, child in zip(self._attributes, self.children.values(), strict=True):
            for pointer, attributes in child.leaves():
                yield pointer, (name, *attributes)

    def read(self, raw: bytes | msgspec.Raw, found: dict[str, str]) -> None:
        """Add the texts at and below this step."""
        if self.wanted and (text := _scalar(bytes(raw))) is not None:
            found[self.pointer] = text
        if not self.children:
            return
        try:
            members = self._object.decode(raw)
        except msgspec.ValidationError:
            if self._has_indexes:
                self._read_array(raw, found)
            return
        for name, attribute in zip(self._names, self._attributes, strict=True):
            value = getattr(members, attribute)
            if value is not msgspec.UNSET:
                self.children[name].read(value, found)

    def _read_array(self, raw: bytes | msgspec.Raw, found: dict[str, str]) -> None:
        try:
            items = self._array.decode(raw)
        except msgspec.ValidationError:
            return
        for name, child in self.children.items():
            index = _index(name)
            if index is not None and index < len(items):
                child.read(items[index], found)

    def walk(self, value: Any, found: dict[str, str]) -> None:
        """The same in a document that is built already."""
        if self.wanted and isinstance(value, str) and is_key(value):
            found[self.pointer] = value
        for name, child in self.children.items():
            if isinstance(value, dict) and name in value:
                child.walk(value[name], found)
            elif isinstance(value, list) and (index := _index(name)) is not None and index < len(value):
                child.walk(value[index], found)


def _index(step: str) -> int | None:
    """The step as a place in an array (RFC 6901, section 4)."""
    return int(step) if _INDEX.fullmatch(step) else None


class JsonPlaces:
    """Reads the texts at given JSON Pointers.

    Args:
        places: The JSON selectors of a scheme; others are passed over.
    """

    def __init__(self, places: Iterable[Selector]) -> None:
        self._root = _Node("")
        for place in places:
            if place.kind == "json":
                self._root.add(place.path)
        self._root.compile()
        self._whole = msgspec.json.Decoder(self._root.shape())
        leaves = tuple(self._root.leaves()) if self._root.children else ()
        self._pointers = tuple(pointer for pointer, _ in leaves)
        paths = [".".join(attributes) for _, attributes in leaves]
        # The last one twice, so that it is a tuple also of one.
        self._pick = attrgetter(*paths, paths[-1]) if paths else None

    def read(self, body: bytes) -> Mapping[str, str]:
        """The texts by their pointers: strings that can be keys, and whole numbers as they are written."""
        if self._pick is None:
            return _NOTHING
        # A byte order mark is part of what is signed, not of the JSON (RFC 8259, section 8.1).
        text = body.removeprefix(BOM_UTF8)
        try:
            document = self._whole.decode(text)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._read_stepwise(text)
        try:
            values = self._pick(document)
        except AttributeError:  # an object on the way isn't there
            return self._read_stepwise(text)
        found: dict[str, str] = {}
        for pointer, value in zip(self._pointers, values, strict=False):
            if type(value) is str:
                if is_key(value):
                    found[pointer] = value
            elif value is not msgspec.UNSET:
                if value == 0 and b"-0" in text:
                    return self._read_stepwise(text)  # was it written as -0? Numbers stay as they are written
                number = _short(str(value))
                if number:
                    found[pointer] = number
        return found

    def _read_stepwise(self, text: bytes) -> Mapping[str, str]:
        """Something in it isn't as expected: look at one step after the other, and take what is."""
        found: dict[str, str] = {}
        try:
            self._root.read(text, found)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._read_slowly(text)
        return found

    def _read_slowly(self, text: bytes) -> Mapping[str, str]:
        """Read it as Python does.

        msgspec refuses a lone surrogate, written as an escape, anywhere, also where it need not look. Genuine bodies
        hold them, when somebody's name was cut in the middle of a character.
        """
        found: dict[str, str] = {}
        try:
            # Numbers stay as they are written; Python refuses to read a very long one. What isn't UTF-8 is no key,
            # and no reason not to read the others.
            document = json.loads(
                text.decode(errors="surrogateescape"),
                parse_int=_short,
                parse_float=_nothing,
                parse_constant=_nothing,
            )
        except (ValueError, RecursionError):
            return _NOTHING
        self._root.walk(document, found)
        return found


def _short(number: str) -> str | None:
    return number if len(number) <= _LONGEST_NUMBER else None


def _nothing(_: str) -> None:
    return None


def _scalar(raw: bytes) -> str | None:
    """A string or a whole number as text; None for everything else."""
    if raw[:1] == b'"':
        text: str = msgspec.json.decode(raw, type=str)
        return text if is_key(text) else None
    if len(raw) <= _LONGEST_NUMBER and raw.removeprefix(b"-").isdigit():
        return raw.decode("ascii")
    return None


def is_key(text: str) -> bool:
    """Whether a text can be a key: not empty, not endless, and Postgres takes it (no NUL, no lone surrogate)."""
    return (
        0 < len(text) <= LONGEST
        and "\0" not in text
        and (text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text))
    )
