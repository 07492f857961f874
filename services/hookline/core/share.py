"""How relays that have consumers for a subscription share its shards."""

from collections.abc import Collection


def fair_share(members: Collection[str], me: str, shards: int) -> int:
    """How many shards are `me`'s: no two members differ by more than one, and together they take all.

    Everyone who sees the same members comes to the same shares. Nobody is told which shards: whoever has too many
    gives some back, whoever has too few takes what is free.
    """
    everyone = sorted({*members, me})
    each, left = divmod(shards, len(everyone))
    return each + (everyone.index(me) < left)
