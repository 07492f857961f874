"""The ruler "pgbench": how fast this server takes one event and one outbox row per transaction, from C."""

import json
import re
from hashlib import sha256, sha512
from pathlib import Path

from bench import process
from bench.loadgen import webhooks
from bench.rig import Rig
from bench.samples import Reading
from hookline.embedded import wheel_programs

_CLIENTS = 32
_HERE = Path(__file__).parent
_TPS = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)", re.MULTILINE)


async def measure(rig: Rig) -> Reading:
    """Transactions per second on a fresh database, after a warm-up."""
    async with rig.server.fresh_database("pgbench") as database:
        await rig.server.execute((_HERE / "pgbench_schema.sql").read_text(), database)
        await rig.server.settle()
        await _run(rig, database, rig.warm_up)
        return Reading(await _run(rig, database, rig.seconds), "transactions/s")


async def _run(rig: Rig, database: str, seconds: float) -> float:
    command = [
        str(wheel_programs() / "pgbench"),
        *("--host", rig.server.socket_directory, "--username", rig.server.user),
        *("--no-vacuum", "--protocol", "prepared", "--client", str(_CLIENTS), "--jobs", "2"),
        *("--time", str(max(1, round(seconds))), "--file", str(_HERE / "pgbench.sql")),
    ]
    for name, value in _row().items():
        command += ["--define", f"{name}={value}"]
    async with process.run("pgbench", *command, database, logs=rig.logs) as running:
        await running.wait()
    output = (rig.logs / "pgbench.log").read_text()
    if (tps := _TPS.search(output)) is None:
        raise ValueError(f"pgbench told no tps:\n{output}")
    return float(tps[1])


def _row() -> dict[str, str]:
    """Values as large as those of a webhook from the load generator, once Hookline has stored it."""
    uid = webhooks.uid("pgbench", 0)
    body = webhooks.body(uid)
    headers = [
        ["user-agent", "begini-webhooks/1.0"],
        ["accept", "*/*"],
        ["content-type", "application/json"],
        ["x-signature", sha512(body).hexdigest()],
    ]
    return {
        "size": str(len(body)),
        "sha256": "\\x" + sha256(body).hexdigest(),
        "type": "psychometric_score.complete",
        "ordering_key": f"36:8f14e45f-ceea-467f-a9b1-0a6c5b6ed5d8,20:{uid},",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
        "headers": json.dumps(headers, separators=(",", ":")),
        "body": body.decode(),
    }
