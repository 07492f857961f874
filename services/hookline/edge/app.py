"""The edge as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from hookline.config import Settings
from hookline.edge import answers, source
from hookline.edge.front.connections import Connections
from hookline.edge.health import HEALTHY, Health, HealthEndpoint
from hookline.edge.intake import Intake
from hookline.edge.lines import WebhookLines
from hookline.edge.metrics import EdgeMetrics
from hookline.edge.observation import Observation
from hookline.edge.rejections.keeper import Rejections
from hookline.edge.rejections.mask import mask_of
from hookline.edge.secrets import LiveSecrets
from hookline.edge.segments import keep_ahead
from hookline.edge.trace import Traces
from hookline.edge.wakeup import Wakeup
from hookline.edge.watch import rules
from hookline.edge.watch.watch import SchemaWatch
from hookline.edge.webhook import WebhookEndpoint
from hookline.errors import ConfigError
from hookline.process import beside
from hookline.store.ingest import read_installation
from hookline.store.schema import check_schema
from hookline.store.session import Session
from hookline.telemetry.metrics import Metrics
from hookline.telemetry.tracing import Tracing

_START = timedelta(seconds=10)
_WEBHOOKS = "/v1/webhooks/"


class EdgeApp:
    """Receives webhooks at `/v1/webhooks/{source}`, and answers `/healthz` and `/readyz`.

    As an application of its own it starts and stops with ASGI's lifespan. Mounted in another one, whose server doesn't
    know it, it has to be told: `async with app.running()` in the lifespan of that one.

    Args:
        settings: Sources, limits, and the database's URL.
        tracing: Where spans go. None: where `settings.telemetry` says.
        metrics: Where it counts. None: where `settings.telemetry` says.

    Raises:
        ConfigError: The database's URL is missing.
    """

    def __init__(
        self, settings: Settings, tracing: Tracing | None = None, metrics: Metrics | None = None
    ) -> None:
        dsn = settings.dsn()
        if dsn is None:
            raise ConfigError("no database: set HOOKLINE_DATABASE_URL")
        self._dsn = dsn
        self._settings = settings
        self._tracing = tracing
        self._metrics = metrics
        self._endpoint: WebhookEndpoint | None = None
        self.connections = Connections(settings.edge)
        """Bounds those of its front, if it has one of ours."""
        self.health = Health()
        """Whether it can take webhooks; told when the process is about to stop."""
        # A bare router: `Starlette` would wrap it in middleware for errors, which the webhook endpoint answers itself,
        # at a tenth of the cost of a webhook.
        self._router = _Router(
            routes=[
                Route(_WEBHOOKS + "{source}", _Webhooks(self)),
                Route("/healthz", HealthEndpoint(lambda: HEALTHY)),
                Route("/readyz", HealthEndpoint(self.health.answer)),
            ],
            lifespan=lambda _: self.running(),
            redirect_slashes=False,  # a provider would not follow
        )

    def __repr__(self) -> str:
        return f"<EdgeApp {sorted(self._settings.sources)} {'running' if self._endpoint else 'stopped'}>"

    @property
    def endpoint(self) -> WebhookEndpoint | None:
        """What takes webhooks while the application runs."""
        return self._endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI request, or run the lifespan."""
        endpoint = self._endpoint
        if endpoint is not None and scope["type"] == "http" and not scope.get("root_path"):
            # The path of every webhook. Starlette would find the same, in a twentieth of what a webhook costs.
            before, prefix, name = scope["path"].partition(_WEBHOOKS)
            if prefix and not before and name and "/" not in name:
                scope["path_params"] = {"source": name}
                await endpoint(scope, receive, send)
                return
        await self._router(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take webhooks while the block runs.

        Raises:
            BackgroundFailed: A part of it failed that it can't do without.
            ConfigError: A secret is missing, or a source can't be used as it is configured.
            DatabaseUnavailable: The database can't be reached.
            MigrationError: Its schema is older than this program.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            tracing = self._tracing
            if tracing is None:
                tracing = Tracing(settings.telemetry, service="hookline-edge")
                stack.push_async_callback(tracing.shutdown)
            metrics = self._metrics
            if metrics is None:
                metrics = Metrics(settings.telemetry, service="hookline-edge")
                stack.push_async_callback(metrics.shutdown)
            counts = EdgeMetrics(metrics, settings.sources)
            shards = await self._read_shards()
            sealer = settings.secrets.sealer()
            session = Session(settings.direct_dsn() or self._dsn, name="edge secrets")
            stack.push_async_callback(session.close)
            secrets = LiveSecrets(
                settings.sources,
                session,
                sealer,
                lambda name, live: sources[name].renew(live),
            )
            sources = source.build(settings, await secrets.load())
            wakeup = Wakeup(Session(self._dsn, name="edge wakeup"))
            rejections = Rejections(
                Session(self._dsn, name="edge rejections"),
                settings.rejections,
                sources=sources,
                sealer=sealer,
                masks={name: mask_of(settings.scheme_of(one)) for name, one in settings.sources.items()},
            )
            watch = SchemaWatch(rules.build_all(settings), Session(self._dsn, name="edge schemas"))

            def on_commit(events: int, seconds: float) -> None:
                wakeup.committed(events)
                counts.committed(events, seconds)

            intake = Intake(
                self._dsn,
                writers=min(settings.edge.writers, shards),
                max_events=settings.edge.queue_events,
                max_bytes=settings.edge.queue_bytes,
                commit_deadline=settings.edge.commit_deadline,
                on_commit=on_commit,
                tracer=tracing.tracer,
            )
            self._endpoint = WebhookEndpoint(
                sources,
                intake,
                rejections,
                watch,
                Observation(Traces(tracing), counts, WebhookLines(settings.telemetry.log_webhooks)),
                settings=settings.edge,
                shards=shards,
            )
            stack.enter_context(counts.watch(intake, rejections, watch.noticed))
            stack.enter_context(counts.watch_connections(self.connections))
            # An edge without one of these must not go on.
            chores = beside(
                intake.run(),
                wakeup.run(),
                secrets.run(),
                rejections.run(),
                watch.run(),
                keep_ahead(Session(self._dsn, name="edge segments")),
                self.health.watch(Session(self._dsn, name="edge health")),
            )
            await stack.enter_async_context(chores)
            self.health.intake = intake
            try:
                yield
            finally:
                self._endpoint = self.health.intake = None

    async def _read_shards(self) -> int:
        session = Session(self._dsn, name="edge start")
        try:
            await check_schema(session, within=_START)
            return (await read_installation(session, within=_START)).shards
        finally:
            await session.close()


class _Router(Router):
    """Answers what it doesn't know as everything else is answered; mounted, that is for the application around it."""

    async def not_found(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and "app" not in scope:
            await answers.NOT_FOUND.send(send)
        else:
            await super().not_found(scope, receive, send)


class _Webhooks:
    """Hands webhooks to the running application's endpoint."""

    def __init__(self, app: EdgeApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint = self._app.endpoint
        if endpoint is None:
            await answers.NOT_RUNNING.send(send)
        else:
            await endpoint(scope, receive, send)


def create_app(settings: Settings, tracing: Tracing | None = None, metrics: Metrics | None = None) -> EdgeApp:
    """The edge as an ASGI application, to be served alone or mounted in another one.

    Raises:
        ConfigError: The database's URL is missing.
    """
    return EdgeApp(settings, tracing, metrics)
