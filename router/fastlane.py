"""The fast lane: requests of a surface go straight to it; everything else takes FastAPI's way."""

from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send


class Application(FastAPI):
    """FastAPI's layers cost as much as relaying an answer does, and a surface needs none of them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.surfaces: dict[str, ASGIApp] = {}  # by path; filled once the application has started

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        surface = self.surfaces.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        await (surface or super().__call__)(scope, receive, send)
