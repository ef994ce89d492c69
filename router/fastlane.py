"""The fast lane: requests of a surface go straight to it; everything else takes FastAPI's way."""

from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send


class FastLane:
    """ASGI middleware. `surfaces` is filled once the application has started."""

    def __init__(self, app: ASGIApp, surfaces: Mapping[str, ASGIApp]) -> None:
        self._app, self._surfaces = app, surfaces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        surface = self._surfaces.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (surface or self._app)(scope, receive, send)
