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
    "Calls of a model service, each attempt counted.",
    ["backend"],
    registry=REGISTRY,
)
RETRIES = Counter(
    "aurora_ml_proxy_backend_retries_total",
    "Calls that were made again, by what the one before came from: throttled or passing.",
    ["backend", "cause"],
    registry=REGISTRY,
)
FAILED_CALLS = Counter(
    "aurora_ml_proxy_backend_failed_calls_total",
    "Calls that failed as a whole, by cause: throttled, passing, refused (for a text: it "
    "is asked in halves), lasting, or abandoned (nobody waited any more).",
    ["backend", "cause"],
    registry=REGISTRY,
)
TEXTS = Counter(
    "aurora_ml_proxy_backend_texts_total",
    "Texts sent to a model service, each attempt counted.",
    ["backend"],
    registry=REGISTRY,
)
CHARACTERS = Counter(
    "aurora_ml_proxy_backend_characters_total",
    "Characters of texts that a model service answered: what it charges for.",
    ["backend"],
    registry=REGISTRY,
)
FAILED_TEXTS = Counter(
    "aurora_ml_proxy_backend_failed_texts_total",
    "Texts that a model service did not answer, each attempt counted.",
    ["backend"],
    registry=REGISTRY,
)
CALL_SECONDS = Histogram(
    "aurora_ml_proxy_backend_call_seconds",
    "Seconds a call took, each attempt by itself.",
    ["backend"],
    registry=REGISTRY,
)
IN_FLIGHT = Gauge(
    "aurora_ml_proxy_backend_in_flight",
    "Calls under way.",
    ["backend"],
    registry=REGISTRY,
)
PACE = Gauge(
    "aurora_ml_proxy_backend_concurrency",
    "Calls that may be under way: sentiment.concurrency, or fewer while the service "
    "throttles or is slow.",
    ["backend"],
    registry=REGISTRY,
)
BREAKER = Gauge(
    "aurora_ml_proxy_backend_breaker",
    "0: calls are made. 1: one is under way to see whether the service is back. 2: the "
    "service is down and left alone.",
    ["backend"],
    registry=REGISTRY,
)
LOGICAL = Counter(
    "aurora_ml_proxy_requests_total",
    "What statements asked, by how it went: asked = hit + answered + failed.",
    ["outcome"],
    registry=REGISTRY,
)
COUNTS = {
    "logical_requests": LOGICAL.labels("asked"),
    "logical_responses": LOGICAL.labels("answered"),
    "logical_failures": LOGICAL.labels("failed"),
    "cache_hits": LOGICAL.labels("hit"),
}
"""The metrics of a `Tally`'s counts that no other metric has."""
CACHE_HITS = Counter(
    "aurora_ml_proxy_cache_hits_total",
    "Texts answered from the cache, by where the answer was: memory, disk or valkey.",
    ["place"],
    registry=REGISTRY,
)
MEMORY_HITS = CACHE_HITS.labels("memory")
CACHE_MISSES = Counter(
    "aurora_ml_proxy_cache_misses_total",
    "Texts that were asked about because no answer was in the cache.",
    registry=REGISTRY,
)
CACHE_JOINS = Counter(
    "aurora_ml_proxy_cache_joins_total",
    "Texts that another statement was just asking about: its answer served both.",
    registry=REGISTRY,
)
CACHE_ENTRIES = Gauge(
    "aurora_ml_proxy_cache_entries", "Answers in memory.", registry=REGISTRY
)
CACHE_BYTES = Gauge(
    "aurora_ml_proxy_cache_bytes", "What they take, about.", registry=REGISTRY
)
CACHE_EVICTIONS = Counter(
    "aurora_ml_proxy_cache_evictions_total",
    "Answers that left the memory for want of room.",
    registry=REGISTRY,
)
CACHE_FAILURES = Counter(
    "aurora_ml_proxy_cache_failures_total",
    "Reads and writes of a store (disk or valkey) that failed or took too long.",
    ["place"],
    registry=REGISTRY,
)
CACHE_UNWRITTEN = Counter(
    "aurora_ml_proxy_cache_unwritten_total",
    "Answers that did not get into a store (disk or valkey) because it was too slow.",
    ["place"],
    registry=REGISTRY,
)
