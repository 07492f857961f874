"""Do the stored secrets open with the configured keys?"""

from collections.abc import Iterator, Sequence

from hookline.config import Settings
from hookline.doctor.finding import Finding, ok, problem
from hookline.errors import ConfigError
from hookline.sealing import SealBroken, Sealer
from hookline.store.secrets import ListedSecret


def judge(settings: Settings, listed: Sequence[ListedSecret]) -> Iterator[Finding]:
    """What is to be said of those of the configured sources.

    Args:
        settings: The configuration.
        listed: All that are stored.
    """
    users = {
        name
        for name, source in settings.sources.items()
        if any(one.kind == "stored" for one in source.secrets)
    }
    if not users:
        return
    try:
        sealer = settings.secrets.sealer()
    except ConfigError:
        return  # said of secrets.keys
    if sealer is None:
        yield problem(
            "secrets.stored",
            "stored secrets are in use, and no key is configured that opens them",
            'set secrets.keys = ["env:HOOKLINE_SECRETS_KEY"] to the key with which they were stored',
        )
        return
    for name in sorted(users):
        yield _of_source(name, [one for one in listed if one.secret.source == name], sealer)


def _of_source(name: str, listed: Sequence[ListedSecret], sealer: Sealer) -> Finding:
    check = f"secrets.{name}.stored"
    live = [one for one in listed if one.state != "expired"]
    for one in live:
        try:
            one.secret.open(sealer)
        except SealBroken as error:
            found, _, fix = str(error).rpartition("; ")
            return problem(
                check, found or fix, fix if found else f"store it anew: `hookline sources secrets add {name}`"
            )
    if not any(one.state == "live" for one in live):
        return problem(
            check, "no stored secret is live", f"add one with `hookline sources secrets add {name}`"
        )
    return ok(check, f"{len(live)} opened")
