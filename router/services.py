"""Everything that a running proxy holds, composed once from its settings."""

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic, time

from classifier.ask import Ask
from metrics.instruments import Instruments
from metrics.ledger import Ledger
from metrics.outcome import Outcome
from metrics.store import Store
from policies.book import PolicyBook
from policies.capability import Capabilities, Target
from policies.catalog import Catalog
from policies.context import Context
from policies.engine import Engine
from router.answers import Answered
from router.audit import Audit
from router.classifiers import Classifiers
from router.gate import Gate
from router.pipeline import Pipeline, Prepared
from router.recording import Recorder
from router.settings import Settings, UpstreamSettings
from router.together import Together
from router.upstreams import direct, translated
from router.upstreams.routing import Routes
from router.upstreams.seam import Upstream

log = logging.getLogger("setpoint")

MOST_PRICES = 1_000  # models whose prices are kept at hand: clients may make up names
Prices = tuple[float | None, float | None, float | None]  # of a token in USD: read, read again from a cache, written


@dataclass(slots=True)
class Services:
    """The parts of one application. `pipeline` is where a reload and a new allocation take effect."""

    settings: Settings
    gate: Gate
    book: PolicyBook
    classifiers: Classifiers
    audit: Audit
    capabilities: Capabilities
    pipeline: Pipeline
    together: Together
    ledger: Ledger
    instruments: Instruments
    recorder: Recorder
    body_limit: int
    prices: dict[tuple[str, str, str], Prices] = field(default_factory=dict)

    def cost(self, context: Context, answered: Answered) -> float | None:
        """What an answer cost, in USD; None where the price or the tokens are not known."""
        if answered.completion_tokens is None:
            return None
        who = (context.model, context.provider, context.surface)
        prices = self.prices.get(who)
        if prices is None:
            if len(self.prices) >= MOST_PRICES:
                self.prices.clear()
            facts = self.capabilities.facts(Target(*who))
            prices = self.prices[who] = (facts.input_cost, facts.cached_input_cost, facts.output_cost)
        fresh, reread, written = prices
        if fresh is None or written is None:
            return None
        prompt, cached = answered.prompt_tokens or 0, answered.cached_tokens or 0
        if not cached:
            return fresh * prompt + written * answered.completion_tokens
        reread = fresh if reread is None else reread
        return fresh * max(prompt - cached, 0) + reread * min(cached, prompt) + written * answered.completion_tokens

    def features(self, ask: Ask) -> str | None:
        """What is kept of an ask to learn from its correction; None unless the operator wants that."""
        features = self.classifiers.live.features if self.settings.keep_corrections else None
        try:
            return features(ask) if features else None
        except Exception:  # the outcome counts all the same
            log.exception("the features of an ask could not be kept")
            self.instruments.classifier_failed()
            return None

    def recorded(self, prepared: Prepared, outcome: Outcome) -> None:
        """One outcome, with all that was decided on the way to it."""
        self.recorder.record(prepared, outcome.result)
        self.ledger.decided_and_done(outcome)
        self.audit.take(prepared.ask, prepared.verdict, outcome)

    def reload(self) -> None:
        """Take over an edit of the policy files, or say that it was refused."""
        result = self.book.refresh()
        if result == "loaded":
            self.pipeline.engine = Engine(self.book.policy, self.capabilities)
            self.pipeline.know(self.classifiers.live)
            self.instruments.policy(self.book.policy.name, self.book.policy.digest)
            log.info("policy %s@%s is in force", self.book.policy.name, self.book.policy.digest)
        elif result == "refused":
            log.error("the policy edit is refused, the old policy stays:\n%s", "\n".join(map(str, self.book.problems)))
        if result != "unchanged":
            self.instruments.policy_reloaded(ok=result == "loaded")

    async def close(self) -> None:
        """Gives the upstreams' connections up."""
        for upstream in self.pipeline.routes.upstreams:
            await upstream.close()

    async def reload_classifiers(self) -> None:
        """Take over classifiers whose files changed, each whole and between two requests, or say that they were refused."""
        for role in self.classifiers.watched:
            if await self.classifiers.refresh(role):
                self.pipeline.know(self.classifiers.live)
                self.audit.start_anew()


def build(settings: Settings, store_url: str, local_url: str | None) -> Services:
    """Compose the services. Raises InvalidPolicyError when there is no policy to start with, ArtefactError when there is
    no classifier, SettingsError, StoreError for a store URL that is none; a store that is away is waited for in the
    background."""
    instruments = Instruments()
    book = PolicyBook.open(settings.policies)
    capabilities = Capabilities.load(catalog=Catalog.load())
    routes = Routes([(_upstream(u, settings, local_url), u.serves()) for u in settings.upstreams])
    classifiers = Classifiers(settings, instruments)
    engine = Engine(book.policy, capabilities)
    pipeline = Pipeline(routes, classifiers.live, engine, instruments, time, os.urandom)
    ledger = Ledger(Store(store_url), instruments, clock=time)
    audit = Audit(classifiers, instruments, ledger.reviewed)
    ledger.settling.labelled = audit.labelled
    instruments.policy(book.policy.name, book.policy.digest)
    limit = int(settings.limits.body_mb * 1_000_000)
    gate = Gate(settings.keys, monotonic)
    recorder = Recorder(instruments, ledger.register_cell)
    return Services(
        settings,
        gate,
        book,
        classifiers,
        audit,
        capabilities,
        pipeline,
        Together(pipeline),
        ledger,
        instruments,
        recorder,
        limit,
    )


def _upstream(u: UpstreamSettings, settings: Settings, local_url: str | None) -> Upstream:
    if u.kind == "litellm":
        return translated.TranslatedUpstream(u)
    if u.kind == "local":
        u = u.model_copy(update={"base_url": local_url})
    return direct.DirectUpstream(u, settings.limits, direct.provider_of(u))


def served_models(routes: Routes, listed: Mapping[str, list[dict[str, object]]]) -> list[dict[str, object]]:
    """The union of what the settings name and what the upstreams list, each model once, with who serves it."""
    models: dict[str, dict[str, object]] = {}
    for upstream in routes.upstreams:
        for model in listed.get(upstream.name, []):
            if routes.serves(upstream, str(model["id"])):
                models.setdefault(str(model["id"]), model)
    for name, owner in routes.named:
        models.setdefault(name, {"id": name, "object": "model", "created": 0, "owned_by": owner})
    return list(models.values())
