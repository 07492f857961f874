"""`hookline.v1.SubscriptionService`: subscriptions, managed while relays run."""
# ruff: noqa: N802  (methods are named as in the contract)

from datetime import UTC, datetime, timedelta
from typing import Final

import grpc

from hookline.admin import fields
from hookline.admin.page import page_size, page_token, read_page_token
from hookline.admin.subscription_messages import (
    etag,
    merge,
    read_subscription,
    write_subscription,
)
from hookline.model import SubscriptionName
from hookline.rpc import RpcError, aborted, already_exists, answer, failed_precondition, invalid, not_found
from hookline.store import subscription_changes
from hookline.store.session import Session
from hookline.store.subscription_changes import StoredSubscription
from hookline.store.subscriptions import NAME, Start
from hookline.v1 import subscription_pb2 as pb
from hookline.v1.subscription_pb2_grpc import SubscriptionServiceServicer

_WITHIN: Final = timedelta(seconds=60)
"""A change of the ordering puts every row of the subscription in order."""
_LIST: Final = b"ListSubscriptions"
_TRIES: Final = 10
"""For an update without an etag, while others change the same subscription."""


class SubscriptionService(SubscriptionServiceServicer):
    """Answers operators and programs.

    Args:
        session: One for this service alone, so that it waits for no other's statements.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def CreateSubscription(
        self,
        request: pb.CreateSubscriptionRequest,
        context: "grpc.aio.ServicerContext[pb.CreateSubscriptionRequest, pb.CreateSubscriptionResponse]",
    ) -> pb.CreateSubscriptionResponse:
        """Add a subscription."""
        return await answer(context, self._create(request))

    async def GetSubscription(
        self,
        request: pb.GetSubscriptionRequest,
        context: "grpc.aio.ServicerContext[pb.GetSubscriptionRequest, pb.GetSubscriptionResponse]",
    ) -> pb.GetSubscriptionResponse:
        """Read one."""
        return await answer(context, self._get(request))

    async def ListSubscriptions(
        self,
        request: pb.ListSubscriptionsRequest,
        context: "grpc.aio.ServicerContext[pb.ListSubscriptionsRequest, pb.ListSubscriptionsResponse]",
    ) -> pb.ListSubscriptionsResponse:
        """Read all, in the order of their names."""
        return await answer(context, self._list(request))

    async def UpdateSubscription(
        self,
        request: pb.UpdateSubscriptionRequest,
        context: "grpc.aio.ServicerContext[pb.UpdateSubscriptionRequest, pb.UpdateSubscriptionResponse]",
    ) -> pb.UpdateSubscriptionResponse:
        """Change fields."""
        return await answer(context, self._update(request))

    async def DeleteSubscription(
        self,
        request: pb.DeleteSubscriptionRequest,
        context: "grpc.aio.ServicerContext[pb.DeleteSubscriptionRequest, pb.DeleteSubscriptionResponse]",
    ) -> pb.DeleteSubscriptionResponse:
        """Remove one with all that belongs to it."""
        return await answer(context, self._delete(request))

    async def PauseSubscription(
        self,
        request: pb.PauseSubscriptionRequest,
        context: "grpc.aio.ServicerContext[pb.PauseSubscriptionRequest, pb.PauseSubscriptionResponse]",
    ) -> pb.PauseSubscriptionResponse:
        """Stop handing over."""
        return await answer(context, self._pause(request))

    async def ResumeSubscription(
        self,
        request: pb.ResumeSubscriptionRequest,
        context: "grpc.aio.ServicerContext[pb.ResumeSubscriptionRequest, pb.ResumeSubscriptionResponse]",
    ) -> pb.ResumeSubscriptionResponse:
        """Go on where it was paused."""
        return await answer(context, self._resume(request))

    async def _create(self, request: pb.CreateSubscriptionRequest) -> pb.CreateSubscriptionResponse:
        subscription = read_subscription(request.subscription)
        start = _read_start(request.start)
        created = await subscription_changes.create(self._session, subscription, start=start, within=_WITHIN)
        if created is None:
            if await subscription_changes.is_being_deleted(self._session, subscription.name, within=_WITHIN):
                raise failed_precondition(
                    "SUBSCRIPTION_BEING_DELETED",
                    f"subscription {subscription.name!r} is being deleted; wait, or call DeleteSubscription again "
                    "to finish what was interrupted",
                )
            raise already_exists(
                "SUBSCRIPTION_EXISTS",
                f"there is a subscription {subscription.name!r}; change it with UpdateSubscription, or choose "
                "another name",
            )
        return pb.CreateSubscriptionResponse(subscription=write_subscription(created))

    async def _get(self, request: pb.GetSubscriptionRequest) -> pb.GetSubscriptionResponse:
        stored = await self._find(request.name)
        return pb.GetSubscriptionResponse(subscription=write_subscription(stored))

    async def _list(self, request: pb.ListSubscriptionsRequest) -> pb.ListSubscriptionsResponse:
        size = page_size(request.page_size)
        last = read_page_token(request.page_token, str, of=_LIST) if request.page_token else ""
        # One more than the page holds tells whether there is a next one.
        found = await subscription_changes.after(self._session, last, count=size + 1, within=_WITHIN)
        page = found[:size]
        more = len(found) > size
        return pb.ListSubscriptionsResponse(
            subscriptions=[write_subscription(stored) for stored in page],
            next_page_token=page_token(page[-1].subscription.name, of=_LIST) if more else "",
        )

    async def _update(self, request: pb.UpdateSubscriptionRequest) -> pb.UpdateSubscriptionResponse:
        wanted = request.subscription
        mask = request.update_mask if request.update_mask.paths else None
        for _ in range(_TRIES):
            seen = await self._find(wanted.name, path="subscription.name")
            _check_etag(wanted.etag, seen)
            current = write_subscription(seen)
            merged = merge(current, wanted, mask)
            if merged == current:
                return pb.UpdateSubscriptionResponse(subscription=current)
            changed = await subscription_changes.change(
                self._session, seen, read_subscription(merged), within=_WITHIN
            )
            if changed is not None:
                return pb.UpdateSubscriptionResponse(subscription=write_subscription(changed))
        raise aborted("CHANGED_MEANWHILE", f"others are changing subscription {wanted.name!r}; try again")

    async def _delete(self, request: pb.DeleteSubscriptionRequest) -> pb.DeleteSubscriptionResponse:
        name = _known_name(request.name)
        version = None
        if not await subscription_changes.is_being_deleted(self._session, name, within=_WITHIN):
            seen = await self._find(name)
            _check_etag(request.etag, seen)
            version = seen.subscription.version if request.etag else None
        if not await subscription_changes.delete(self._session, name, version=version, within=_WITHIN):
            raise _changed(name) if request.etag else unknown_subscription(name)
        return pb.DeleteSubscriptionResponse()

    async def _pause(self, request: pb.PauseSubscriptionRequest) -> pb.PauseSubscriptionResponse:
        stored = await self._set_paused(request.name, paused=True)
        return pb.PauseSubscriptionResponse(subscription=write_subscription(stored))

    async def _resume(self, request: pb.ResumeSubscriptionRequest) -> pb.ResumeSubscriptionResponse:
        stored = await self._set_paused(request.name, paused=False)
        return pb.ResumeSubscriptionResponse(subscription=write_subscription(stored))

    async def _set_paused(self, name: str, *, paused: bool) -> StoredSubscription:
        known = _known_name(name)
        stored = await subscription_changes.set_paused(self._session, known, paused=paused, within=_WITHIN)
        if stored is None:
            raise unknown_subscription(known)
        return stored

    async def _find(self, name: str, *, path: str = "name") -> StoredSubscription:
        known = _known_name(name, path)
        stored = await subscription_changes.find(self._session, known, within=_WITHIN)
        if stored is None:
            raise unknown_subscription(known)
        return stored


def unknown_subscription(name: str) -> RpcError:
    """There is no subscription of that name."""
    return not_found(
        "UNKNOWN_SUBSCRIPTION",
        f"there is no subscription {fields.shown(name)}; ListSubscriptions names those there are",
    )


def _known_name(name: str, path: str = "name") -> SubscriptionName:
    """A name that there may be a subscription of."""
    if not name:
        raise fields.wrong(path, "is empty; name a subscription")
    if not NAME.fullmatch(name):
        raise unknown_subscription(name)
    return SubscriptionName(name)


def _check_etag(asked: str, seen: StoredSubscription) -> None:
    if asked and asked != etag(seen):
        raise _changed(seen.subscription.name)


def _changed(name: str) -> RpcError:
    return aborted(
        "ETAG_MISMATCH",
        f"subscription {name!r} has changed since this etag; read it again, then decide again",
    )


def _read_start(message: pb.StartPosition) -> Start:
    match message.WhichOneof("position"):
        case None:
            return "latest"
        case "time":
            time = fields.timestamp("start.time", message.time)
            if time > datetime.now(UTC):
                raise fields.wrong(
                    "start.time", "is in the future; leave `start` out to begin with the next event"
                )
            return time
        case ("latest" | "earliest") as position:
            if not getattr(message, position):
                raise fields.wrong(f"start.{position}", "is false; set it to true, or leave `start` out")
            return position
        case other:
            raise invalid("INVALID_FIELD", f"start: {other} is no position that this server knows")
