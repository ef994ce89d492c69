"""Send labelled prompts through a proxy that has a shadow classifier, so that both are judged on them.

.venv/bin/setpoint train --data yours.jsonl --out candidate
make run with a setpoint.yaml that says `classifier_shadow: candidate`
.venv/bin/python examples/compare-classifiers/ask.py classifier/validation/en.jsonl
.venv/bin/setpoint compare
"""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx

URL = os.environ.get("SETPOINT_URL", "http://127.0.0.1:8300")


def rows(files: list[str]) -> Iterator[dict[str, str]]:
    """The rows of JSONL files, each with `text` and `task`."""
    for file in files:
        for line in Path(file).read_text("utf-8").splitlines():
            yield json.loads(line)


def main(files: list[str]) -> None:
    """Ask everything once, declare the task, and want one token: what matters is what the classifiers make of it."""
    with httpx.Client(base_url=URL, timeout=60) as http:
        model = os.environ.get("SETPOINT_MODEL") or http.get("/v1/models").json()["data"][0]["id"]
        for n, row in enumerate(rows(files), 1):
            body = {"model": model, "max_tokens": 1, "messages": [{"role": "user", "content": row["text"]}]}
            answer = http.post("/v1/chat/completions", json=body, headers={"x-setpoint-task": row["task"]})
            answer.raise_for_status()
            print(f"\r{n} asked", end="", flush=True)
    print("; now: .venv/bin/setpoint compare")


if __name__ == "__main__":
    main(sys.argv[1:])
