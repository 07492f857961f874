"""`hookline tail`: watch a subscription."""
# ruff: noqa: PLC0415  (an edge starts with this module, and needs no gRPC)

import asyncio
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hookline.errors import HooklineError
from hookline.process import Stop

if TYPE_CHECKING:
    from hookline.client import Consumer, Delivery


class TailFailed(HooklineError):
    """The subscription can't be watched."""


def tail(
    subscription: Annotated[str, typer.Argument(help="Name of the subscription.")],
    *,
    target: Annotated[str, typer.Option(help="The relay's address.")] = "127.0.0.1:50051",
    body: Annotated[
        bool, typer.Option("--body", help="Print the bodies too; they may be personal data.")
    ] = False,
    count: Annotated[int | None, typer.Option(min=1, help="Stop after so many.", show_default=False)] = None,
) -> None:
    """Print deliveries as they come, and ack them: what is printed here, no other consumer gets."""
    from hookline.client import ConsumerError

    try:
        asyncio.run(_tail(subscription, target, with_body=body, count=count))
    except ConsumerError as error:
        raise TailFailed(str(error)) from None


async def _tail(subscription: str, target: str, *, with_body: bool, count: int | None) -> None:
    from hookline.cli.relay_tls import relay_tls
    from hookline.cli.relay_token import relay_token
    from hookline.client import Consumer

    stop = Stop()
    stopping = asyncio.create_task(stop.wait())
    tls, token = relay_tls(), relay_token()
    async with Consumer(target, subscription, name="tail", tls=tls, token=token) as consumer:
        printing = asyncio.create_task(_print(consumer, with_body=with_body, count=count))
        await asyncio.wait({printing, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if printing.done():
            printing.result()
        printing.cancel()


async def _print(consumer: "Consumer", *, with_body: bool, count: int | None) -> None:
    printed = 0
    async for delivery in consumer:
        sys.stdout.write(_line(delivery) + "\n")
        if with_body:
            # Escaped: a body may hold what a terminal would obey.
            sys.stdout.write(f"    {delivery.body.decode(errors='backslashreplace')!r}\n")
        sys.stdout.flush()
        delivery.ack()
        printed += 1
        if printed == count:
            return


def _line(delivery: "Delivery") -> str:
    marks = "  revision" if delivery.is_revision else ""
    if delivery.attempt > 1:
        marks += f"  attempt {delivery.attempt}"
    when = delivery.received_at.astimezone().strftime("%H:%M:%S.%f")[:-3]
    printable = "".join(character if character.isprintable() else "?" for character in delivery.type)
    return f"{when}  {delivery.event_id}  {delivery.source}  {printable}  {len(delivery.body)} B{marks}"
