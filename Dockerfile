# The proxy with its local model. Nothing is fetched unhashed, and nothing that only builds ends up in the image.
#   docker build -t setpoint .
#   docker run --init -p 127.0.0.1:8300:8300 -e SETPOINT_API_KEY=... -e SETPOINT_STORE=embedded -v setpoint:/var/lib/setpoint setpoint

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# The pins before the source: nearly all of the time goes here, and an edit of the source leaves it in the cache.
# The build back end stays in this stage's own Python, the proxy gets an environment of its own, without pip.
COPY requirements/build.txt requirements/run.txt requirements/
RUN python -m venv --without-pip /opt/setpoint \
 && pip install --require-hashes --no-deps -r requirements/build.txt \
 && pip --python /opt/setpoint/bin/python install --require-hashes --no-deps -r requirements/run.txt
COPY pyproject.toml README.md LICENSE ./
COPY router/ router/
COPY classifier/ classifier/
COPY policies/ policies/
COPY metrics/ metrics/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && pip --python /opt/setpoint/bin/python install --no-deps --no-index /dist/*.whl

FROM python:3.13-slim
# llama.cpp (the local model) is linked against OpenMP, which this base does not have.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgomp1 \
 && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 setpoint \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/setpoint --shell /usr/sbin/nologin setpoint \
 && install --directory --owner=setpoint --group=setpoint --mode=0700 /var/lib/setpoint
COPY --from=build /opt/setpoint /opt/setpoint
COPY deploy/setpoint.yaml /etc/setpoint/setpoint.yaml
ENV PATH=/opt/setpoint/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SETPOINT_CONFIG=/etc/setpoint/setpoint.yaml \
    SETPOINT_DATA=/var/lib/setpoint
# By number, so that an orchestrator can see that it is not root.
USER 10001:10001
WORKDIR /var/lib/setpoint
VOLUME /var/lib/setpoint
EXPOSE 8300
# An opener without proxies: with HTTP_PROXY set, plain urlopen would ask the proxy for 127.0.0.1.
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=3 \
    CMD ["python", "-c", "from urllib.request import ProxyHandler, build_opener; build_opener(ProxyHandler({})).open('http://127.0.0.1:8300/readyz', timeout=4)"]
CMD ["setpoint", "serve"]
