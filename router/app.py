"""The application: the only composition. Proxied surfaces are plain ASGI routes; FastAPI serves our own endpoints."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import Route

from router.endpoints import endpoints
from router.errors import RequestError
from router.fastlane import Application
from router.forward import ForwardApp
from router.learning import learn
from router.relay import SurfaceApp
from router.services import Services, build
from router.settings import Settings
from router.surfaces import SURFACES
from router.upstreams.direct import DirectUpstream, provider_by_owner

log = logging.getLogger("setpoint")

LOOKS = 0.25  # seconds between two looks at the policy files, and at classifiers; an edit takes effect within 1 s
PROBE_SECONDS = 30
LAST_FLUSH = 5


def create_app(settings: Settings, *, store_url: str, local_url: str | None = None) -> FastAPI:
    """The proxy as an ASGI application. The store and the local model are given by whoever started them."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        services = app.state.services = build(settings, store_url, local_url)
        _mount(app, services)
        try:
            async with _background(
                services.ledger.run(),
                services.audit.run(),
                learn(services),
                _watch_policies(services),
                _watch_classifiers(services),
                _find_providers(services),
            ):
                yield
            await services.ledger.close()
        finally:
            await services.close()

    app = Application(
        title="Setpoint", lifespan=lifespan, openapi_url="/openapi.json", docs_url="/docs", redoc_url=None
    )
    app.include_router(endpoints())
    app.add_exception_handler(RequestError, _request_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _our_fault)
    return app


def _mount(app: Application, services: Services) -> None:
    app.surfaces |= {f"/v1{s.path}": SurfaceApp(s, services) for s in SURFACES.values()}
    app.router.routes.append(
        Route("/v1/{path:path}", ForwardApp(services), methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    )


@contextlib.asynccontextmanager
async def _background(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(w) for w in work]
    try:
        yield
    finally:
        pending = set(tasks)
        while pending:  # again, should a task have missed it; the time is what the ledger takes for its last flush
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=LAST_FLUSH)


async def _watch_policies(services: Services) -> None:
    while True:
        await asyncio.sleep(LOOKS)
        try:
            services.reload()
        except Exception:
            log.exception("the policy files could not be looked at; the policy in force stays")


async def _watch_classifiers(services: Services) -> None:
    while services.classifiers.watched:
        await asyncio.sleep(LOOKS)
        try:
            await services.reload_classifiers()
        except Exception:
            log.exception("the classifier's files could not be looked at; the classifier in force stays")


async def _find_providers(services: Services) -> None:
    """Ask each self-hosted address what it is, until it answers; until then it gets OpenAI's own parameters only."""
    unknown = [
        u for u in services.pipeline.routes.upstreams if isinstance(u, DirectUpstream) and u.provider == "compatible"
    ]
    while unknown:
        for upstream in list(unknown):
            with contextlib.suppress(RequestError):
                upstream.provider = provider_by_owner(await upstream.models()) or upstream.provider
                unknown.remove(upstream)
                log.info("upstream %s speaks the dialect of %s", upstream.name, upstream.provider)
        await asyncio.sleep(PROBE_SECONDS)


async def _request_error(request: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, RequestError)
    return JSONResponse(e.body(), e.status, e.headers)


async def _invalid(request: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, RequestValidationError)
    errors = e.errors()
    place = _place(errors[0])
    reason = ", or ".join(
        dict.fromkeys(other["msg"] for other in errors if _place(other) == place)
    )  # of each type that may stand there
    code = "invalid_json" if errors[0]["type"] == "json_invalid" else "invalid_request"
    return await _request_error(request, RequestError(code, f"{place}: {reason}", place or None))


def _place(error: Mapping[str, Any]) -> str:
    """Where the client's JSON is wrong, without the names that types have here."""
    return ".".join(str(p) for p in error["loc"] if p not in ("body", "item", "items", "bool", "int", "float", "str"))


async def _http_error(request: Request, e: Exception) -> JSONResponse:
    assert isinstance(e, HTTPException)
    if e.status_code == 405:
        error = RequestError(
            "method_not_allowed", f"{request.method} is not a method of {request.url.path}.", headers=e.headers
        )
    elif e.status_code == 404:
        error = RequestError("unknown_path", f"There is nothing at {request.url.path}; the API is below /v1.")
    else:
        error = RequestError("invalid_request", str(e.detail))
    return await _request_error(request, error)


async def _our_fault(request: Request, e: Exception) -> JSONResponse:
    return await _request_error(
        request, RequestError("internal_error", "Setpoint failed to handle this request; its log says why.")
    )
