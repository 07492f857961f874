"""Watches every write of a cursor, from inside the database: what is settled stays settled, and epochs only grow."""

from typing import Any

from path.rig.database import connect

_WATCH = """
CREATE TABLE public.violations (what text, before hookline.cursors, after hookline.cursors);
CREATE FUNCTION public.watch() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    what text := CASE
        WHEN NEW.epoch < OLD.epoch THEN 'epoch went back'
        WHEN NEW.position < OLD.position THEN 'position went back'
        WHEN NEW.epoch = OLD.epoch AND NEW.owner NOT IN (OLD.owner, '') THEN 'two owners in one epoch'
        WHEN NEW.epoch > OLD.epoch AND OLD.lease_until > clock_timestamp() THEN 'taken before the lease ended'
        WHEN EXISTS (SELECT FROM unnest(NEW.pending) AS p (seq)
                      WHERE p.seq <= OLD.position AND p.seq <> ALL (OLD.pending)) THEN 'settled event is pending again'
    END;
BEGIN
    IF what IS NOT NULL THEN
        INSERT INTO public.violations VALUES (what, OLD, NEW);
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER watch AFTER UPDATE ON hookline.cursors FOR EACH ROW EXECUTE FUNCTION public.watch();
"""


async def watch_cursors(dsn: str) -> None:
    async with connect(dsn) as connection:
        await connection.execute(_WATCH)


async def violations(dsn: str) -> list[Any]:
    async with connect(dsn) as connection:
        return [tuple(row) for row in await connection.fetch("SELECT * FROM public.violations")]


async def is_settled(dsn: str, subscription: str = "%") -> bool:
    """Whether every event of the log is settled in every such subscription, and no delivery is in trouble."""
    async with connect(dsn) as connection:
        return not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM hookline.deliveries) OR EXISTS (SELECT FROM hookline.outbox AS o"
            " JOIN hookline.cursors AS c USING (shard)"
            " WHERE c.subscription LIKE $1 AND (o.seq > c.position OR o.seq = ANY (c.pending)))",
            subscription,
        )


async def attempts(dsn: str) -> list[Any]:
    """The history of attempts, oldest first."""
    async with connect(dsn) as connection:
        rows: list[Any] = await connection.fetch("SELECT * FROM hookline.attempts ORDER BY ended_at")
    return rows
