"""`hookline.v1.DeadLetterService`: what failed for good, and what becomes of it."""
# ruff: noqa: N802  (methods are named as in the contract)

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import grpc

from hookline.admin import fields
from hookline.admin.dead_letter_messages import (
    read_filter,
    read_letter_name,
    read_letter_names,
    write_attempt,
    write_dead_letter,
)
from hookline.admin.globs import globs_that_fit
from hookline.admin.page import page_size, page_token, read_page_token
from hookline.admin.subscriptions import unknown_subscription
from hookline.model import SubscriptionName
from hookline.rpc import answer, invalid, not_found
from hookline.store import dead_letters, subscription_changes
from hookline.store.dead_letter_filter import DeadLetterFilter
from hookline.store.dead_letters import NEWEST, LetterId, LetterPlace
from hookline.store.session import Session
from hookline.store.subscriptions import NAME
from hookline.v1 import dead_letter_pb2 as pb
from hookline.v1.dead_letter_pb2_grpc import DeadLetterServiceServicer

_WITHIN: Final = timedelta(seconds=60)
"""For each chunk, and for a search through all of a subscription's dead letters."""


class DeadLetterService(DeadLetterServiceServicer):
    """Answers operators and programs.

    Args:
        session: One for this service alone, so that it waits for no other's statements.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def ListDeadLetters(
        self,
        request: pb.ListDeadLettersRequest,
        context: "grpc.aio.ServicerContext[pb.ListDeadLettersRequest, pb.ListDeadLettersResponse]",
    ) -> pb.ListDeadLettersResponse:
        """Read them, the most recently dead first."""
        return await answer(context, self._list(request))

    async def GetDeadLetter(
        self,
        request: pb.GetDeadLetterRequest,
        context: "grpc.aio.ServicerContext[pb.GetDeadLetterRequest, pb.GetDeadLetterResponse]",
    ) -> pb.GetDeadLetterResponse:
        """Read one with its attempts."""
        return await answer(context, self._get(request))

    async def RedriveDeadLetters(
        self,
        request: pb.RedriveDeadLettersRequest,
        context: "grpc.aio.ServicerContext[pb.RedriveDeadLettersRequest, pb.RedriveDeadLettersResponse]",
    ) -> pb.RedriveDeadLettersResponse:
        """Deliver them again."""
        return await answer(context, self._redrive(request))

    async def DeleteDeadLetters(
        self,
        request: pb.DeleteDeadLettersRequest,
        context: "grpc.aio.ServicerContext[pb.DeleteDeadLettersRequest, pb.DeleteDeadLettersResponse]",
    ) -> pb.DeleteDeadLettersResponse:
        """Give them up."""
        return await answer(context, self._delete(request))

    async def _list(self, request: pb.ListDeadLettersRequest) -> pb.ListDeadLettersResponse:
        size = page_size(request.page_size)
        wanted = read_filter("filter", request.filter)
        question = b"ListDeadLetters" + pb.ListDeadLettersRequest(
            subscription=request.subscription, filter=request.filter
        ).SerializeToString(deterministic=True)
        after = NEWEST
        if request.page_token:
            after = read_page_token(request.page_token, LetterPlace, of=question)
        subscription = await self._subscription(request.subscription)
        with globs_that_fit():
            found = await dead_letters.find_newest(
                # One more than the page holds tells whether there is a next one.
                self._session,
                subscription,
                wanted,
                after=after,
                count=size + 1,
                within=_WITHIN,
            )
        page = found[:size]
        token = ""
        if len(found) > size:
            token = page_token(LetterPlace(page[-1].dead_at, page[-1].id), of=question)
        return pb.ListDeadLettersResponse(
            dead_letters=[write_dead_letter(subscription, letter) for letter in page], next_page_token=token
        )

    async def _get(self, request: pb.GetDeadLetterRequest) -> pb.GetDeadLetterResponse:
        subscription, letter_id = read_letter_name("name", request.name)
        letter = await dead_letters.find(self._session, subscription, letter_id, within=_WITHIN)
        if letter is None:
            raise not_found(
                "UNKNOWN_DEAD_LETTER",
                f"{fields.shown(request.name)} isn't dead: it was redriven or deleted, or never was; "
                "ListDeadLetters names those there are",
            )
        attempts = await dead_letters.attempts(self._session, subscription, letter_id, within=_WITHIN)
        response = pb.GetDeadLetterResponse(
            dead_letter=write_dead_letter(subscription, letter),
            attempts=[write_attempt(attempt) for attempt in attempts],
        )
        if request.with_body:
            content = await dead_letters.content(self._session, letter_id, within=_WITHIN)
            if content is not None:
                response.headers.extend(f"{name}: {value}" for name, value in content.headers)
                response.body = content.body
        return response

    async def _redrive(self, request: pb.RedriveDeadLettersRequest) -> pb.RedriveDeadLettersResponse:
        which = _read_which(request)
        subscription = await self._subscription(request.subscription)
        with globs_that_fit():
            if request.validate_only:
                redriven = await dead_letters.count(self._session, subscription, which, within=_WITHIN)
            else:
                redriven = await dead_letters.redrive(self._session, subscription, which, within=_WITHIN)
        return pb.RedriveDeadLettersResponse(redriven=redriven)

    async def _delete(self, request: pb.DeleteDeadLettersRequest) -> pb.DeleteDeadLettersResponse:
        which = _read_which(request)
        reason = fields.text("reason", request.reason.strip(), longest=1000)
        if not reason:
            raise fields.wrong("reason", "is empty; say why, it is kept with the delivery's attempts")
        subscription = await self._subscription(request.subscription)
        with globs_that_fit():
            if request.validate_only:
                deleted = await dead_letters.count(self._session, subscription, which, within=_WITHIN)
            else:
                deleted = await dead_letters.delete(
                    self._session, subscription, which, reason=reason, within=_WITHIN
                )
        return pb.DeleteDeadLettersResponse(deleted=deleted)

    async def _subscription(self, name: str) -> SubscriptionName:
        """The name, if there is such a subscription."""
        if not name:
            raise fields.wrong("subscription", "is empty; name one")
        known = SubscriptionName(name)
        if not NAME.fullmatch(name) or not await subscription_changes.find(
            self._session, known, within=_WITHIN
        ):
            raise unknown_subscription(name)
        return known


def _read_which(
    request: pb.RedriveDeadLettersRequest | pb.DeleteDeadLettersRequest,
) -> DeadLetterFilter | Sequence[LetterId]:
    match request.WhichOneof("which"):
        case "dead_letters":
            subscription = SubscriptionName(request.subscription)
            return read_letter_names("dead_letters.names", subscription, request.dead_letters.names)
        case "filter":
            return read_filter("filter", request.filter)
        case _:
            raise invalid(
                "WHICH_EXPECTED", "set `dead_letters` or `filter`; an empty filter picks all dead letters"
            )
