"""The HTTP side: webhooks come in, are verified, and are committed before they are answered.

`create_app` is the whole edge as an ASGI application, for those who have one already:

    app = hookline.edge.create_app(hookline.config.load())

    @asynccontextmanager
    async def lifespan(_):
        async with app.running():
            yield

    site = Starlette(routes=[Mount("/hooks", app)], lifespan=lifespan)
"""

from hookline.edge.app import EdgeApp, create_app

__all__ = ["EdgeApp", "create_app"]
