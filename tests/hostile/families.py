"""All kinds of cases, and how many there are of each: a kind that shrinks is noticed."""

from collections.abc import Callable, Mapping

from hostile import (
    challenges,
    chunks,
    connections,
    framing,
    json_extremes,
    json_flips,
    json_keys,
    packed,
    random_heads,
    signatures,
    texts,
)
from hostile.case import Cases

Family = Mapping[Callable[[], Cases], int]

BODIES: Family = {
    json_extremes.values: 1_872,
    json_extremes.in_place_of_all: 2_336,
    json_extremes.large: 114,
    json_flips.tampered: 3_403,
    json_flips.genuine: 4_401,
}
KEYS: Family = {
    json_keys.cases: 4_554,
    json_keys.names: 1_736,
    texts.ids: 651,
    challenges.meta: 89,
    challenges.slack: 35,
    challenges.cloudevents: 17,
}
HEADS: Family = {
    texts.paths: 868,
    texts.queries: 651,
    texts.headers: 651,
    texts.handshakes: 434,
    signatures.changed: 5_816,
    signatures.spelled: 229,
    signatures.around: 115,
    signatures.clocks: 76,
    signatures.types: 41,
    signatures.methods: 262,
    packed.bombs: 22,
    packed.broken: 576,
    packed.fine: 21,
    packed.encodings: 214,
}
WIRE: Family = {
    framing.lengths_and_encodings: 1_800,
    framing.lengths: 972,
    framing.declared: 18,
    framing.encodings: 961,
    chunks.cases: 2_166,
    framing.bytes_in_heads: 4_864,
    connections.hosts: 33,
    connections.targets: 47,
    connections.versions: 132,
    connections.ahead: 14,
    connections.expecting: 12,
    connections.unfinished: 334,
    connections.sizes: 14,
    random_heads.noise: 1_000,
    random_heads.grammar: 1_000,
    random_heads.damage: 3_000,
}
ALL = (BODIES, KEYS, HEADS, WIRE)
