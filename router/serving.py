"""Serving: start what the settings ask for (store, local model, workers), say so, and end all of it together."""

import gc
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from classifier.model import Classifier
from metrics.embedded import start_embedded
from metrics.errors import StoreError
from metrics.instruments import forget_dead_workers
from policies import loading
from router.app import create_app
from router.errors import SettingsError
from router.local_model import MODEL, LocalModel
from router.protocol import Protocol
from router.settings import Settings, require_safe

# How the supervisor tells its workers what it has started for all of them.
STORE, LOCAL, SETTINGS = "SETPOINT_STORE_URL", "SETPOINT_LOCAL_URL", "SETPOINT_SETTINGS"
STORE_LOOKS = 2  # seconds between two looks whether the embedded store is alive
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def serve(settings: Settings) -> None:
    """Run until stopped. Raises SettingsError, InvalidPolicyError, ArtefactError, StoreError when there is nothing to run."""
    require_safe(settings)
    loading.load(settings.policies)  # before anything is started: a policy that cannot be run is said at once
    if settings.classifier:
        Classifier.load(settings.classifier)
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%H:%M:%S")
    # uvicorn raises the signal again when it is done; by default that would end us before what we started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with ExitStack() as started:
        listener = _listener(settings)
        os.environ[STORE] = _store(settings, started)
        if any(u.kind == "local" for u in settings.upstreams):
            os.environ[LOCAL] = _local_model(started)
        _greet(settings)
        if settings.workers > 1:
            _many(settings, listener)
        else:
            listener.close()
            app = settled(create_app(settings, store_url=os.environ[STORE], local_url=os.environ.get(LOCAL)))
            uvicorn.Server(_config(settings, app)).run()


def worker() -> FastAPI:
    """The application of one of several workers, from what the supervisor left in the environment."""
    logging.basicConfig(level=logging.INFO, format=LOG_FORMAT, datefmt="%H:%M:%S")
    settings = Settings.model_validate_json(os.environ[SETTINGS])
    forget_dead_workers(Path(os.environ["PROMETHEUS_MULTIPROC_DIR"]))
    return settled(create_app(settings, store_url=os.environ[STORE], local_url=os.environ.get(LOCAL)))


def settled(app: FastAPI) -> FastAPI:
    """An application whose start leaves nothing for garbage collection to look at again.

    What a worker holds once it has started (250,000 objects: modules, schemas, the catalog, the policy) stays until it ends. A full
    collection that looked at them held all requests for 80 to 100 ms, measured, and now and then there is one: p99 at saturation
    is half as long without. Young objects are looked at as often as Python does: 5,000 at once in the place of 700 take as
    much time in all, and hold requests for 7 ms and not half of one.
    """
    start = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with start(app):
            gc.collect()
            gc.freeze()
            yield

    app.router.lifespan_context = lifespan
    return app


def _config(settings: Settings, app: FastAPI | str, workers: int | None = None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        workers=workers,
        factory=isinstance(app, str),
        loop="uvloop",
        http=Protocol,
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,  # whose request it is, the key says
        date_header=False,
        timeout_graceful_shutdown=10,
    )


def _many(settings: Settings, listener: socket.socket) -> None:
    """Workers share the port, the store and the metrics."""
    folder = settings.data / "metrics"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
    os.environ[SETTINGS] = settings.model_dump_json()
    listener.set_inheritable(True)
    config = _config(settings, "router.serving:worker", settings.workers)
    Multiprocess(config, [listener]).run()


def _listener(settings: Settings) -> socket.socket:
    """Bound before anything is started, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as e:
        raise SettingsError(
            f"{settings.host}:{settings.port} cannot be listened on: {e.strerror}; choose another with --port"
        ) from e
    return listener


def _store(settings: Settings, started: ExitStack) -> str:
    if settings.store != "embedded":
        return settings.store
    server = start_embedded(settings.data)
    stopped = threading.Event()
    started.callback(server.stop)
    threading.Thread(target=_keep_store, args=(settings.data, started, stopped), daemon=True).start()
    started.callback(stopped.set)
    return server.url


def _keep_store(folder: Path, started: ExitStack, stopped: threading.Event) -> None:
    """Start the store again if it dies; where it runs, this only asks it."""
    while not stopped.wait(STORE_LOOKS):
        try:
            server = start_embedded(folder)
        except StoreError as e:
            logging.getLogger("setpoint").error("the embedded store cannot be started again: %s", e)
            continue
        if server.owned:
            logging.getLogger("setpoint").warning("the embedded store had died and was started again")
            started.callback(server.stop)


def _local_model(started: ExitStack) -> str:
    model = LocalModel(_free_port())
    started.callback(model.stop)
    model.wait()
    os.environ["NO_PROXY"] = ",".join(filter(None, (os.environ.get("NO_PROXY"), "127.0.0.1")))
    return model.url


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def _greet(settings: Settings) -> None:
    for line in greeting(settings):
        logging.getLogger("setpoint").info(line)


def greeting(settings: Settings) -> Iterator[str]:
    """What answers, where state is kept, and what to try."""
    for u in settings.upstreams:
        what = f"{MODEL} on this machine" if u.kind == "local" else u.base_url or ", ".join(u.serves().values())
        yield f"upstream {u.name}: {what}"
    store = f"embedded, in {settings.data}" if settings.store == "embedded" else settings.store.rsplit("@", 1)[-1]
    yield f"store: {store}; policies: {settings.policies}"
    first = settings.upstreams[0]
    model = MODEL if first.kind == "local" else next((m for m in first.serves() if "*" not in m), "MODEL")
    key = " -H 'Authorization: Bearer KEY'" if settings.keys else ""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    yield f"listening on http://{host}:{settings.port}; try:"
    yield (
        f"  curl -i http://{host}:{settings.port}/v1/chat/completions{key} -H 'Content-Type: application/json' "
        f'-d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Write a haiku about autumn"}}]}}\''
    )
