"""What is counted, in one registry of its own, for /metrics of the admin endpoint."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

CONNECTIONS = Gauge(
    "aurora_ml_proxy_connections", "Clients connected.", registry=REGISTRY
)
LOGINS = Counter(
    "aurora_ml_proxy_logins_total",
    "Logins, by how they ended: ok, refused, or failed (by a defect, which is logged).",
    ["outcome"],
    registry=REGISTRY,
)
STATEMENTS = Counter(
    "aurora_ml_proxy_ml_statements_total",
    "Statements that call an ML function, by how they ended.",
    ["outcome"],
    registry=REGISTRY,
)
CALLS = Counter(
    "aurora_ml_proxy_backend_calls_total",
    "Calls of a model service, its own retries not counted.",
    ["backend"],
    registry=REGISTRY,
)
TEXTS = Counter(
    "aurora_ml_proxy_backend_texts_total",
    "Texts sent to a model service.",
    ["backend"],
    registry=REGISTRY,
)
FAILED_TEXTS = Counter(
    "aurora_ml_proxy_backend_failed_texts_total",
    "Texts that a model service did not answer.",
    ["backend"],
    registry=REGISTRY,
)
CALL_SECONDS = Histogram(
    "aurora_ml_proxy_backend_call_seconds",
    "Seconds a call took, with its retries.",
    ["backend"],
    registry=REGISTRY,
)
