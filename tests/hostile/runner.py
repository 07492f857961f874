"""Run many cases against one running edge, and see that each did exactly what it should."""

import asyncio
import json
import os
from collections import Counter, deque
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import islice
from time import monotonic
from typing import Any

from edge.running import EdgeProcess
from hostile.answer import Answer
from hostile.case import Case, End, Row, mark
from hostile.client import PATIENCE, Client, Ended
from hostile.codes import documented
from hostile.families import Family
from hostile.senders import BEGINI

CHUNK = 250
CONNECTIONS = 16
_MOST_REPORTED = 25
_REFUSED = 300
_SERVER_ERROR = 500
_PROMPT = 1.0
"""Seconds in which the next good request is answered, whatever came before."""
_NEW_ROWS = """
SELECT o.seq, o.source, o.type, o.body, o.headers,
       EXISTS (SELECT FROM hookline.events AS e
                WHERE e.shard = o.shard AND e.id = o.event_id AND e.seq = o.seq AND e.type = o.type) AS in_ledger
  FROM hookline.outbox AS o
 WHERE o.seq > $1
"""


class Runner:
    """Sends cases to an edge, `CHUNK` at a time over `CONNECTIONS` connections, and looks at its database after each.

    Args:
        edge: A running `hookline edge`.
        database: A connection to its database, which nobody else writes to.
    """

    def __init__(self, edge: EdgeProcess, database: Any) -> None:
        self._edge = edge
        self._database = database
        self._codes = documented()
        self._seq = 0
        self._good = 0
        self._failures: list[str] = []
        self._rows = 0

    async def run_all(self, family: Family) -> None:
        """Run all cases of a family, or those whose names match `HOSTILE`.

        Raises:
            AssertionError: Says what some of the cases did wrong, by their names.
        """
        chosen = os.environ.get("HOSTILE", "*")
        for kind, expected in family.items():
            count = await self._run(case for case in kind() if fnmatchcase(case.name, chosen))
            assert count == expected or chosen != "*", f"{kind.__module__}.{kind.__name__} has {count} cases"

    async def _run(self, stream: Iterator[Case]) -> int:
        clients = [Client(self._edge.address) for _ in range(CONNECTIONS)]
        count = 0
        while chunk := list(islice(stream, CHUNK)):
            names = Counter(case.name for case in chunk)
            assert len(names) == len(chunk), f"two cases with one name: {names.most_common(3)}"
            count += len(chunk)
            await self._run_chunk(chunk, clients)
            if len(self._failures) > _MOST_REPORTED:
                break
        for client in clients:
            client.close()
        self._look_at_log()
        assert not self._failures, "\n".join(
            [f"{len(self._failures)} failures:", *self._failures[:_MOST_REPORTED]]
        )
        return count

    async def _run_chunk(self, chunk: list[Case], clients: list[Client]) -> None:
        waiting = deque(chunk)
        accepted: list[Row] = []

        async def work(client: Client) -> None:
            while waiting:
                case = waiting.popleft()
                try:
                    async with asyncio.timeout(PATIENCE):
                        objection = await _try(case, client, accepted, self._codes)
                except TimeoutError:
                    objection = f"hangs for {PATIENCE:g} s"
                except Ended:
                    objection = "ends without its answer"
                if objection:
                    client.close()
                    self._fail(case.name, f"{objection}\n    request: {case.request[:300]!r}")

        await asyncio.gather(*(work(client) for client in clients))
        good = await self._send_good_one()
        await self._compare_rows([*(row for case in chunk for row in case.rows), *accepted, good], chunk)

    async def _send_good_one(self) -> Row:
        self._good += 1
        body = BEGINI.document(mark(f"good {self._good}"), b"0")
        client = Client(self._edge.address)
        began = monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await client.write(BEGINI.request(body))
                objection = BEGINI.accepted.objection(await client.read())
        except (TimeoutError, Ended, OSError) as error:
            objection = f"no answer: {type(error).__name__}"
        client.close()
        took = monotonic() - began
        if objection or took > _PROMPT:
            self._fail(f"the good request after chunk {self._good}", f"{objection} took {took:.2f} s")
        assert self._edge.is_running, f"the edge ended: {self._edge.lines[-5:]}"
        return Row(BEGINI.source, "device.score", body)

    async def _compare_rows(self, expected: list[Row], chunk: list[Case]) -> None:
        """See that exactly these rows are new."""
        found = await self._database.fetch(_NEW_ROWS, self._seq)
        self._rows += len(found)
        self._seq = max([self._seq, *(row["seq"] for row in found)])
        ledger = await self._database.fetchval("SELECT count(*) FROM hookline.events")
        if ledger != self._rows:
            self._fail("the chunk", f"left {ledger} rows in the ledger and {self._rows} in the outbox")
        owners = {(row.source, row.body): case.name for case in chunk for row in case.rows}
        missing = Counter((row.source, row.type, row.body) for row in expected)
        for row in found:
            key = (row["source"], row["type"], bytes(row["body"]))
            if not missing[key] or not row["in_ledger"]:
                owner = owners.get((key[0], key[2]), f"one of {chunk[0].name!r} to {chunk[-1].name!r}")
                self._fail(
                    owner, f"stored {key[0]} {key[1]!r} {key[2][:120]!r}, in ledger: {row['in_ledger']}"
                )
            missing[key] -= 1
        for source, type_, body in (+missing).elements():
            owner = owners.get((source, body), "a free case")
            self._fail(owner, f"did not store {source} {type_!r} {body[:120]!r}")
        self._compare_headers(expected, found, owners)

    def _compare_headers(
        self, expected: list[Row], found: list[Any], owners: dict[tuple[str, bytes], str]
    ) -> None:
        headers = {(row["source"], bytes(row["body"])): row["headers"] for row in found}
        for row in expected:
            if row.header is not None:
                stored = headers.get((row.source, row.body), "[]")
                if list(row.header) not in json.loads(stored):
                    owner = owners.get((row.source, row.body), "?")
                    self._fail(owner, f"did not store the header {row.header!r} in {stored[:300]}")

    def _look_at_log(self) -> None:
        for line in self._edge.lines:
            if line.get("level") not in ("info", "warning"):
                self._fail("the edge", f"logged {str(line)[:2000]}")

    def _fail(self, name: str, objection: str) -> None:
        self._failures.append(f"- {name}: {objection}")


async def _try(case: Case, client: Client, accepted: list[Row], codes: frozenset[str]) -> str:
    """Run one case; answers what is wrong, or ""."""
    if case.end is not End.KEEP:
        client.close()
    is_head = case.request.startswith(b"HEAD ")
    await client.write(case.request, half_close=case.end is End.HALF)
    if case.replies is None:
        return await _try_freely(case, client, accepted, codes)
    for expected in case.replies:
        answer = await client.read(is_head=is_head)
        if objection := _objection(answer, codes) or expected.objection(answer):
            return objection
        if answer.headers.get("connection") == "close" and case.end is End.KEEP:
            client.close()
    if case.end in (End.LAST, End.HALF) and (more := await client.rest()):
        return f"is answered once more: {more[:300]!r}"
    if case.end is not End.KEEP:
        client.close()
    return ""


async def _try_freely(case: Case, client: Client, accepted: list[Row], codes: frozenset[str]) -> str:
    """A case of which only is known what it must not do."""
    perhaps = list(case.perhaps)
    try:
        while True:
            answer = await client.read(is_head=case.request.startswith(b"HEAD "))
            if objection := _objection(answer, codes):
                return objection
            if answer.status < _REFUSED and b'"accepted"' in answer.body:
                if not perhaps:
                    return f"was accepted: {answer.body!r}"
                accepted.append(perhaps.pop(0))
    except Ended:
        client.close()
    return ""


def _objection(answer: Answer, codes: frozenset[str]) -> str:
    """What no answer may be."""
    if answer.status >= _SERVER_ERROR:
        return f"answered {answer.status} {answer.body[:200]!r}"
    if answer.code and answer.code not in codes:
        return f"has the code {answer.code!r}, which docs/security.md doesn't know"
    return ""
