"""Does the database's clock agree with ours?"""

from datetime import timedelta

from hookline.doctor.finding import Finding, ok, problem, warning

_MOST = timedelta(seconds=1)
_FAR_TOO_MUCH = timedelta(seconds=30)


def judge(skew: timedelta, doubt: timedelta) -> Finding:
    """Whether clocks agree well enough: signed timestamps are judged by ours, leases and due times by the database's.

    Args:
        skew: How far the database's clock is ahead of ours.
        doubt: Half of what the question took: the skew is known to no better than this.
    """
    check = "clock"
    surely = max(timedelta(0), abs(skew) - doubt)
    direction = "ahead of" if skew > timedelta(0) else "behind"
    found = f"the database's clock is {abs(skew).total_seconds():.3f}s {direction} this machine's"
    fix = "let both machines follow NTP (chrony or systemd-timesyncd); see which is wrong with `chronyc tracking`"
    if surely > _FAR_TOO_MUCH:
        return problem(
            check, f"{found}: genuine webhooks may be refused as stale, or stale ones be taken", fix
        )
    if surely > _MOST:
        return warning(check, found, fix)
    return ok(check, f"agrees with the database's within {max(abs(skew), doubt).total_seconds():.3f}s")
