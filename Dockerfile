# syntax=docker/dockerfile:1
# Two stages: pip makes wheels of the package and all it needs, and the image installs
# them without a compiler, a cache or the source.
FROM python:3.12-slim AS wheels
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY aurora_ml_proxy ./aurora_ml_proxy
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[valkey]'

FROM python:3.12-slim
RUN --mount=type=bind,from=wheels,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels 'aurora-ml-proxy[valkey]'

# A number, so that Kubernetes can see that it is not root (runAsNonRoot).
USER 65532:65532
ENV PYTHONUNBUFFERED=1 \
    AURORA_ML_PROXY__LISTEN__HOST=0.0.0.0 \
    AURORA_ML_PROXY__ADMIN__PORT=9307
EXPOSE 3307
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9307/healthz', timeout=2)"]

# SIGTERM drains: give it listen.drain_timeout_s (30 s) before the kill.
STOPSIGNAL SIGTERM
ENTRYPOINT ["aurora-ml-proxy"]
CMD ["serve"]
