"""What `/metrics` says: histograms of this process's life, and figures read when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from flockd.domain.usage import NANOS_PER_USD, Usage
from flockd.streams.streams import StreamFigures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_RUN_BUCKETS = (0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600)
_COMMIT_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
_GROUP_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class BoardFigures(NamedTuple):
    """The board at one moment. What is counted is counted for all time."""

    artifacts: int
    agents: int
    executions: int
    runs_by_state: Mapping[str, int]
    """The open ones: ready, running, waiting."""
    oldest_ready_seconds: float
    """0 where nothing is ready."""
    head: int
    """Seq of the newest event."""
    streams: StreamFigures
    ready: bool
    """Whether the daemon takes work."""
    usage: Mapping[str, Usage] = MappingProxyType({})
    """What calls of language models took, by model."""
    refused: Mapping[str, int] = MappingProxyType({})
    """Calls that did not fit into a budget, by its scope."""


class Metrics:
    """The process's own registry. Few labels and never an id, so that it stays small for ever."""

    def __init__(self) -> None:
        # They would double every histogram.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._runs = Histogram(
            "flockd_run_duration_seconds",
            "Time that attempts of runs took, by how they ended",
            ["outcome"],
            buckets=_RUN_BUCKETS,
            registry=self._registry,
        )
        self._runs_by_outcome: dict[str, Histogram] = {}
        """Its children: looking one up in the library takes a lock."""
        self._commits = Histogram(
            "flockd_commit_duration_seconds",
            "Time that transactions of the writer took",
            buckets=_COMMIT_BUCKETS,
            registry=self._registry,
        )
        self._groups = Histogram(
            "flockd_commit_commands",
            "Commands that shared a transaction",
            buckets=_GROUP_BUCKETS,
            registry=self._registry,
        )
        self._lag = Histogram(
            "flockd_loop_lag_seconds",
            "How much later than due the event loop came round",
            buckets=_LAG_BUCKETS,
            registry=self._registry,
        )
        self._rejected = Counter(
            "flockd_http_requests_rejected",
            "Requests that were answered with an error, by its code",
            ["code"],
            registry=self._registry,
        )

    def observe_commit(self, seconds: float, commands: int) -> None:
        """After each transaction of the writer."""
        self._commits.observe(seconds)
        self._groups.observe(commands)

    def observe_run(self, seconds: float, outcome: str) -> None:
        """After each attempt of a run; the outcome is one of a few words."""
        child = self._runs_by_outcome.get(outcome)
        if child is None:
            child = self._runs_by_outcome[outcome] = self._runs.labels(outcome)
        child.observe(seconds)

    def observe_lag(self, seconds: float) -> None:
        """Some times a second, by the watchdog."""
        self._lag.observe(seconds)

    def rejected(self, code: str) -> None:
        """After each request that was answered with an error."""
        self._rejected.labels(code).inc()

    def render(self, figures: BoardFigures) -> bytes:
        """The Prometheus text."""
        now = CollectorRegistry()
        now.register(_Figures(figures))
        return prometheus_client.generate_latest(now) + prometheus_client.generate_latest(self._registry)


class _Figures(Collector):
    """Stored and momentary figures as metrics. A counter's name gets its `_total` from the library."""

    def __init__(self, figures: BoardFigures) -> None:
        self._figures = figures

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        figures = self._figures
        yield CounterMetricFamily("blackboard_artifacts", "Artifacts ever published", value=figures.artifacts)
        yield GaugeMetricFamily("blackboard_agents_count", "Agents of this daemon", value=figures.agents)
        yield CounterMetricFamily("blackboard_executions", "Runs ever completed", value=figures.executions)
        runs = GaugeMetricFamily("flockd_runs_open", "Runs that are not over, by state", labels=["state"])
        for state, count in figures.runs_by_state.items():
            runs.add_metric([state], count)
        yield runs
        yield GaugeMetricFamily(
            "flockd_queue_depth", "Runs that wait for a slot", value=figures.runs_by_state.get("ready", 0)
        )
        yield GaugeMetricFamily(
            "flockd_oldest_ready_age_seconds",
            "How long the oldest of them waits",
            value=figures.oldest_ready_seconds,
        )
        yield GaugeMetricFamily("flockd_log_head", "Seq of the newest event", value=figures.head)
        yield from _usage_figures(figures)
        yield from _stream_figures(figures.streams)
        yield GaugeMetricFamily("flockd_ready", "1 while the daemon takes work", value=float(figures.ready))


def _usage_figures(figures: BoardFigures) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "flockd_llm_requests", "Calls of language models, by model", labels=["model"]
    )
    tokens = CounterMetricFamily(
        "flockd_llm_tokens", "Tokens that they took, by model and direction", labels=["model", "direction"]
    )
    cost = CounterMetricFamily("flockd_llm_cost_usd", "US dollars that they cost, by model", labels=["model"])
    unpriced = CounterMetricFamily(
        "flockd_llm_unpriced_requests", "Calls whose price nobody knows, by model", labels=["model"]
    )
    estimated = CounterMetricFamily(
        "flockd_llm_estimated_requests",
        "Calls charged the most that they might take, by model",
        labels=["model"],
    )
    for model, took in figures.usage.items():
        requests.add_metric([model], took.requests)
        tokens.add_metric([model, "input"], took.input_tokens)
        tokens.add_metric([model, "output"], took.output_tokens)
        cost.add_metric([model], took.cost / NANOS_PER_USD)
        unpriced.add_metric([model], took.unpriced)
        estimated.add_metric([model], took.estimated)
    refused = CounterMetricFamily(
        "flockd_llm_calls_refused", "Calls that did not fit into a budget, by its scope", labels=["scope"]
    )
    for scope, count in figures.refused.items():
        refused.add_metric([scope], count)
    yield from (requests, tokens, cost, unpriced, estimated, refused)


def _stream_figures(streams: StreamFigures) -> Iterator[Metric]:
    subscribers = GaugeMetricFamily("flockd_stream_subscribers", "Open streams, by medium", labels=["medium"])
    for medium, count in streams.subscribers.items():
        subscribers.add_metric([medium], count)
    yield subscribers
    yield CounterMetricFamily("flockd_stream_events_sent", "Events sent, of all streams", streams.events_sent)
    yield CounterMetricFamily("flockd_stream_bytes_sent", "Bytes sent, of all streams", streams.bytes_sent)
    yield GaugeMetricFamily(
        "flockd_stream_lag_events",
        "How far the slowest reader is behind the newest event",
        streams.lag_events,
    )
    yield GaugeMetricFamily(
        "flockd_stream_disk_readers", "Readers that are served from disk", streams.disk_readers
    )
    yield CounterMetricFamily(
        "flockd_stream_readers_cut",
        "Streams whose readers took nothing and were cut",
        streams.cut_readers,
    )
