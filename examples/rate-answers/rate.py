"""Ask, judge, and tell the proxy: what a policy in `apply` mode learns from.

make run                                                    # in the project's folder
.venv/bin/python examples/rate-answers/rate.py              # in another terminal
.venv/bin/setpoint report
"""

import os
import sys

import httpx
from openai import OpenAI

URL = os.environ.get("SETPOINT_URL", "http://127.0.0.1:8300")
WORDS = ("Paris", "Rome", "Berlin", "Madrid", "Tokyo")


def main(rounds: int) -> None:
    """Ask for a word back; an answer that holds it is a good one."""
    with OpenAI(base_url=f"{URL}/v1", api_key="none") as client, httpx.Client(base_url=URL) as http:
        for n in range(rounds):
            word = WORDS[n % len(WORDS)]
            prompt = f"Extract the city from this text and answer with the city only: I moved to {word} last year."
            raw = client.chat.completions.with_raw_response.create(
                model="smollm2-135m-instruct", max_tokens=12, messages=[{"role": "user", "content": prompt}]
            )
            said = raw.parse().choices[0].message.content or ""
            rating = {"id": raw.headers["x-setpoint-decision"], "signal": "success", "value": word in said}
            result = http.post("/v1/feedback", json=rating).json()["result"]
            print(
                f"{raw.headers['x-setpoint-params']}  {said.strip()[:40]!r}  {'good' if word in said else 'bad'}  {result}"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
