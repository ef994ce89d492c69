"""Setpoint's own endpoints: feedback, explain, learning, models, health and metrics."""

import asyncio
from collections.abc import Mapping
from time import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
)

from metrics.errors import SignalError
from metrics.outcome import Feedback
from metrics.tally import CellStatistics
from policies.arms import plain
from router import exchange
from router.errors import RequestError
from router.explaining import as_json
from router.gate import read_body
from router.incoming import Incoming, session_of
from router.pipeline import headers_of
from router.reporting import observed
from router.services import Services, served_models
from router.standing import standing
from router.surfaces import SURFACES
from router.upstreams.seam import Upstream

MOST_FEEDBACK = 1_000


class FeedbackItem(BaseModel):
    """One signal about one answer, or about all answers of a session together."""

    model_config = ConfigDict(extra="forbid")

    id: str | None = Field(
        None, min_length=1, max_length=200, description="Decision id (x-setpoint-decision) or completion id."
    )
    session: str | None = Field(
        None, min_length=1, max_length=200, description="Instead of `id`: the x-setpoint-session of the requests."
    )
    signal: str = Field(
        description="A row of the signal table: rating, thumbs, score, success, accepted, edited, regenerated, task."
    )
    value: StrictBool | StrictInt | StrictFloat | StrictStr = Field(description="As the signal's row says.")

    @property
    def about(self) -> dict[str, str]:
        """What it names. Raises RequestError for both or neither."""
        if (self.id is None) == (self.session is None):
            found = "both are" if self.id is not None else "neither is"
            raise RequestError("invalid_request", f"Name either `id` or `session`; {found} given.", "id")
        if self.id is not None:
            return {"id": self.id}
        if self._named is None:
            raise RequestError("invalid_request", "`session` is blank.", "session")
        return {"session": self.session or ""}

    def said(self, tenant: str, closed: bool, now: float) -> Feedback:
        """As the ledger takes it."""
        whose = tenant if closed or self.session else None
        return Feedback(self.id or "", self.signal, self.value, now, whose, self._named)

    @property
    def _named(self) -> str | None:
        """Headers are read as Latin-1, so a session is too."""
        return session_of((self.session or "").encode(errors="replace").decode("latin-1"))


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Of = Annotated[Services, Depends(_services)]


def _tenant(request: Request, services: Of) -> str:
    return services.gate.tenant(dict(request.headers))


Tenant = Annotated[str, Depends(_tenant)]


def endpoints() -> APIRouter:
    """The router of all of them."""
    router = APIRouter()
    router.get("/healthz", summary="Liveness")(healthz)
    router.get("/readyz", summary="Readiness")(readyz)
    router.get("/metrics", summary="Prometheus page", response_class=Response)(metrics)
    router.get("/v1/models", summary="All that the upstreams serve")(models)
    router.post("/v1/feedback", summary="Tell how good an answer was")(feedback)
    router.get("/v1/learning", summary="What was learned, and where each cell stands")(learning)
    router.post("/v1/explain", summary="The ladder of a request that is not sent")(explain)
    return router


async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


async def readyz(services: Of, request: Request) -> Response:
    """Whether requests can be served, and what runs degraded."""
    state, book = services.ledger.state, services.book
    ready = getattr(request.app.state, "ready", True)
    return JSONResponse(
        {
            "status": "ready" if ready else "starting",
            "policy": {
                "name": book.policy.name,
                "digest": book.policy.digest,
                "problems": [str(p) for p in book.problems],
            },
            "classifier": services.classifiers.told(),
            "upstreams": [u.name for u in services.pipeline.routes.upstreams],
            "store": {
                "up": state.up,
                "down_seconds": round(state.down_seconds, 1),
                "buffered": state.buffered,
                "shed": state.shed,
            },
            "allocation": services.pipeline.allocations.version,
        },
        200 if ready else 503,
    )


async def metrics(services: Of) -> Response:
    """The page is made in a thread: at many series it takes longer than a request may wait."""
    services.instruments.fold()
    page, content_type = await asyncio.to_thread(services.instruments.page)
    return Response(page, media_type=content_type)


async def models(services: Of, tenant: Tenant) -> dict[str, Any]:
    """Every model that can be asked for, in OpenAI's shape. An upstream that is away lists none."""
    routes = services.pipeline.routes
    listed = await asyncio.gather(*(_listed(u) for u in routes.upstreams))
    return {
        "object": "list",
        "data": served_models(routes, {u.name: m for u, m in zip(routes.upstreams, listed, strict=True)}),
    }


async def _listed(upstream: Upstream) -> list[dict[str, Any]]:
    try:
        return await asyncio.wait_for(upstream.models(), 5)
    except (RequestError, TimeoutError):
        return []


def _shape(body: object) -> str:
    return "items" if isinstance(body, list) else "item"


# Told apart by shape, so that what is wrong with an item of a list is said of that item.
Items = Annotated[
    Annotated[FeedbackItem, Tag("item")] | Annotated[list[FeedbackItem], Tag("items")], Discriminator(_shape)
]


async def feedback(services: Of, tenant: Tenant, items: Items) -> Response:
    """Idempotent per (id, signal) and (session, signal). Each item is answered credited, duplicate, late, unknown, or queued:
    while the store is away, while the decision is not yet known to it, and for a second where a session is named, so that
    the last answers of every replica share in it."""
    given = items if isinstance(items, list) else [items]
    if len(given) > MOST_FEEDBACK:
        raise RequestError("invalid_request", f"At most {MOST_FEEDBACK} items at once.")
    about, now = [i.about for i in given], time()
    try:
        results = await services.ledger.feedback([i.said(tenant, services.gate.closed, now) for i in given])
    except SignalError as e:
        raise RequestError("invalid_request", str(e), "signal") from e
    if not isinstance(items, list) and results == ["unknown"]:
        what = "session is" if items.session else "decision or completion with that id is"
        raise RequestError(
            "unknown_decision", f"{next(iter(about[0].values()))!r}: no such {what} known.", next(iter(about[0]))
        )
    told = [a | {"signal": i.signal, "result": r} for a, i, r in zip(about, given, results, strict=True)]
    return JSONResponse({"object": "list", "data": told} if isinstance(items, list) else told[0])


async def learning(services: Of, tenant: Tenant) -> Response:
    """As `setpoint report --export` has it, with each cell's standing. With keys, without the cells of other tenants."""
    seen = await services.ledger.statistics()
    if services.gate.closed:
        seen = {cell: found for cell, found in seen.items() if cell.startswith(("*|", f"{plain(tenant)}|"))}
    return JSONResponse(await asyncio.to_thread(_learned, services, seen))


def _learned(services: Services, seen: Mapping[str, CellStatistics]) -> dict[str, Any]:
    policy, table = services.book.policy, services.pipeline.allocations
    told = exchange.as_json(seen, table, services.ledger.paused, time())
    for cell, row in told["cells"].items():
        found = standing(policy, seen[cell], table.cells.get(cell), reached=table.leads_to(cell))
        row |= {"standing": found.word, "reason": found.reason}
    return told | {"observed": observed(seen)}


async def explain(request: Request, services: Of, tenant: Tenant) -> Response:
    """Climbs the ladder for a chat completions body; nothing is forwarded or stored."""
    headers = {k: v for k, v in request.headers.items() if k != "content-length"}
    body = await read_body(request.receive, headers, services.body_limit)
    prepared = services.pipeline.prepare(Incoming(SURFACES["chat"], body, headers), tenant)
    told = {k.decode(): v.decode() for k, v in headers_of(prepared) if k != b"x-setpoint-decision"}
    return JSONResponse(as_json(prepared), headers=told)
