"""The sections of the configuration: one frozen model each, one field per setting.

A field's name ends in its unit, its default is what `config.toml` shows, and its description says why.
`config.toml` and `docs/settings.md` are written from these models (`python -m flockd.config`).
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

KIB = 1024
MIB = 1024 * KIB

Count = Annotated[int, Field(ge=1)]
Size = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen table of settings that refuses names it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """Where the daemon listens."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="The address to bind. Loopback, because a daemon without keys must not face a "
        "network by accident.",
    )
    port: int = Field(
        default=8344,
        ge=0,
        le=65535,
        description="The port to bind. 0 takes a free one, which the ready line names.",
    )
    backlog: Count = Field(
        default=1024,
        description="Connections that the system holds while the loop is busy. A burst of clients "
        "waits there instead of being refused.",
    )
    access_log: bool = Field(
        default=False,
        description="One log line for each request. Off, because it costs more than a small request does.",
    )
    page: bool = Field(
        default=True, description="Whether / shows the page to browsers. The API answers there either way."
    )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach the bind address."""
        if self.host == "localhost" or self.host.endswith(".localhost"):
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def client_url(self) -> str:
        """The URL at which a client on this machine reaches the daemon, also where it binds to a wildcard."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host.strip("[]"), self.host.strip("[]"))
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


class ShutdownSettings(Section):
    """How long a stop may take, stage by stage."""

    grace_seconds: float = Field(
        default=7.0,
        ge=0,
        allow_inf_nan=False,
        description="What running agents get to end after SIGTERM before they are cancelled and "
        "resumed at the next start. With drain_seconds it stays under the 10 seconds "
        "after which containers are killed.",
    )
    drain_seconds: float = Field(
        default=2.0,
        ge=0,
        allow_inf_nan=False,
        description="What the writer and the streams get after that, to commit what is queued and to "
        "send the last events and the goodbye.",
    )


class AuthSettings(Section):
    """Who may call the daemon."""

    mode: Literal["loopback", "required", "open"] = Field(
        default="loopback",
        description="loopback: everybody on this machine, and no other bind address is accepted. "
        "required: an API key for every call (refused until keys can be made). open: "
        "everybody who can reach the port; it says so at start.",
    )


class StoreSettings(Section):
    """Where the board is kept, and how hard it is held."""

    url: str = Field(
        default="",
        description="sqlite:///path/file.db (four slashes for an absolute path). Empty: flockd.db in "
        "data_dir.",
    )
    data_dir: Path = Field(
        default=Path("data"),
        description="The folder of everything that flockd keeps, relative to the working directory. "
        "One folder to mount, back up or delete.",
    )
    durability: Literal["full", "normal"] = Field(
        default="full",
        description="full: every answer waits for the disk (fsync). normal: a power cut or a crash of "
        "the system can lose the last commits that were acknowledged; a crash of the "
        "process alone cannot.",
    )
    min_free_bytes: int = Field(
        default=64 * MIB,
        ge=0,
        description="Below this much free disk, new work gets 503: what runs can still be committed, "
        "and the file is never caught in the middle of growing.",
    )
    wal_max_bytes: Size = Field(
        default=64 * MIB,
        description="Past this size the write-ahead log is truncated. Small enough to start fast, "
        "large enough that checkpoints stay off the write path.",
    )
    readers: Count = Field(
        default=4,
        description="Read-only connections. Reads never wait for the writer; more than the cores "
        "gains nothing.",
    )
    group_max_commands: Count = Field(
        default=256,
        description="Commands that share one transaction and so one fsync. More of them only make the "
        "first one wait.",
    )
    queue_max_commands: Count = Field(
        default=4096,
        description="Commands that wait for the writer. Past it a publish gets 503 with Retry-After, "
        "so that a burst costs clients a retry and not the daemon its memory.",
    )
    page_cache_bytes: Size = Field(
        default=32 * MIB,
        description="SQLite's page cache of each connection. Holds the hot pages of the indexes.",
    )

    @field_validator("url")
    @classmethod
    def _supported(cls, url: str) -> str:
        if url:
            sqlite_path(url)
        return url

    @property
    def location(self) -> str:
        """The URL of the store in use: `url`, or the file in `data_dir`."""
        return self.url or f"sqlite:///{self.data_dir / 'flockd.db'}"

    @property
    def path(self) -> Path:
        """The SQLite file in use."""
        return sqlite_path(self.location)


def sqlite_path(url: str) -> Path:
    """The file that `sqlite:///path/file.db` names.

    Raises:
        ValueError: another scheme, or no file; the message is a sentence. It never repeats the URL, which may
            hold a password.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme.split("+")[0] in ("postgres", "postgresql"):
        raise ValueError("PostgreSQL comes with a later version; write sqlite:///path/file.db")
    if not separator or scheme != "sqlite" or not rest.startswith("/") or rest in ("/", "/:memory:"):
        raise ValueError("the store is written sqlite:///path/file.db (four slashes for an absolute path)")
    return Path(unquote(rest[1:]))


class LimitSettings(Section):
    """What one client, agent or workflow may ask for; past a limit the answer names it."""

    body_bytes: Size = Field(
        default=1 * MIB, description="The body of a request, and so the largest payload of an artifact."
    )
    bulk_items: Count = Field(
        default=1000,
        description="Items of one bulk publication. They share a transaction, which others wait for.",
    )
    bulk_body_bytes: Size = Field(
        default=16 * MIB, description="The body of a bulk publication, held in memory while it is read."
    )
    sync_wait_seconds: Seconds = Field(
        default=300.0,
        description="The longest that one request waits for a workflow. Proxies cut longer ones; the "
        "work goes on.",
    )
    running: Count = Field(
        default=256,
        description="Runs of all agents at once. Bounds memory and the connections that agents open.",
    )
    ready_runs: Count = Field(
        default=100_000,
        description="Runs that wait for a slot. Past it a publish gets 503: a backlog this long is an "
        "outage.",
    )
    run_outputs: Count = Field(
        default=1000,
        description="Artifacts that one run may publish. They commit together, so one run must not "
        "hold up the rest.",
    )
    output_bytes: Size = Field(
        default=1 * MIB,
        description="Bytes of one run's artifacts together, and the end of its live text that is kept.",
    )
    run_crashes: Count = Field(
        default=10,
        description="Times a run may take the process down with it before it is dead. Ends a crash "
        "loop by itself.",
    )
    orphan_hours: Seconds = Field(
        default=24.0,
        description="How long a ready run waits for an agent that is no longer declared before it is dead.",
    )
    correlation_runs: Count = Field(
        default=10_000, description="Runs of one workflow. Ends agents that wake each other without end."
    )
    correlation_depth: Count = Field(
        default=1000,
        description="Hops from the first publication of a workflow. Ends a loop of agents earlier "
        "than its runs would.",
    )
    count_max: Count = Field(
        default=10_000,
        description="How far a filtered list is counted. Past it the total is this number and "
        "total_exact is false, so that a page never costs a scan.",
    )
    offset_max: Count = Field(
        default=10_000,
        description="The largest offset. Past it a list is read with after, which costs the same at "
        "any depth.",
    )
    tags_per_artifact: Count = Field(
        default=32, description="Tags of one artifact. Each is a row of an index."
    )
    tag_chars: Count = Field(default=200, description="Characters of one tag.")
    json_depth: Count = Field(
        default=64, description="Nesting of a JSON body. Deeper ones exhaust the stack of whoever reads them."
    )
    header_bytes: Size = Field(
        default=16 * KIB, description="One header line of a request, and the request line."
    )
    idempotency_hours: Seconds = Field(
        default=24.0,
        description="How long an idempotency key is remembered: longer than any client keeps retrying.",
    )


class SupervisorSettings(Section):
    """How runs are picked, tried again and watched."""

    lane_window: Count = Field(
        default=64,
        description="Ready runs held in memory per agent (or key of it) and priority. The rest stays in the table, "
        "so memory does not grow with the queue.",
    )
    retry_base_seconds: Seconds = Field(
        default=1.0,
        description="The wait before the first retry of a run. It doubles with each one, with jitter.",
    )
    retry_max_seconds: Seconds = Field(
        default=60.0,
        description="The longest wait between two retries. A service that is back is found within it.",
    )
    watchdog_milliseconds: Count = Field(
        default=250,
        description="An agent that holds the event loop for longer than this is logged with its "
        "stack: an async def that computes stops everything.",
    )


class StreamSettings(Section):
    """What a subscriber gets, and what one may cost."""

    heartbeat_seconds: Seconds = Field(
        default=15.0,
        description="Time between heartbeats, which carry the position. Shorter than proxies keep "
        "idle connections.",
    )
    inline_bytes: Size = Field(
        default=64 * KIB,
        description="The largest payload sent inside an event. A larger one is fetched by its payload_href.",
    )
    ring_bytes: Size = Field(
        default=16 * MIB,
        description="Recent events kept encoded in memory, shared by all subscribers. One that falls "
        "off it reads from disk.",
    )
    stall_seconds: Seconds = Field(
        default=30.0,
        description="A subscriber that takes nothing for this long is cut. It resumes by its cursor.",
    )
    buffer_bytes: Size = Field(
        default=256 * KIB, description="Bytes that wait for one subscriber. Bounds what a slow reader costs."
    )
    subscribers: Count = Field(default=10_000, description="Open streams. Past it a new one gets 503.")
    subscribers_per_address: Count = Field(
        default=8000,
        description="Open streams of one client address, so that no client takes every place. High, because behind "
        "a proxy everybody has the proxy's address.",
    )
    subscriptions_per_socket: Count = Field(
        default=100,
        description="Subscriptions of one WebSocket. They share its buffer, and each costs a look at every event.",
    )
    message_bytes: Size = Field(
        default=2 * MIB,
        description="The largest message that a client may send over a WebSocket: a publication of "
        "limits.body_bytes with what is around it. A larger one closes the socket with code 1009.",
    )
    filter_values: Count = Field(
        default=200,
        description="Values of one filter of events, all its fields together. It is evaluated for every event.",
    )
    filter_chars: Count = Field(
        default=2000,
        description="Characters of one of these values. What a where expression costs grows with its length.",
    )
    page_events: Count = Field(
        default=500,
        description="Events read from disk at once. The read is closed before the page is sent, so "
        "that no reader pins the write-ahead log.",
    )
    page_bytes: Size = Field(
        default=256 * KIB, description="Bytes read from disk at once, for the same reason."
    )


class BatchSettings(Section):
    """What batches may be (`POST /run/batch`), and where their files are."""

    dir: Annotated[Path | None, BeforeValidator(lambda given: given or None)] = Field(
        default=None,
        description="The folder below which CSV files are read and results are written. Empty: batches take "
        "no files, since whoever may start one would read what the daemon can read.",
    )
    items: Count = Field(
        default=100_000,
        description="Items of one batch. They are stored in one transaction, which others wait for.",
    )
    workers: Count = Field(
        default=256,
        description="The largest max_workers, items of one batch in flight: as many as limits.running lets run.",
    )
    file_bytes: Size = Field(
        default=64 * MIB, description="The largest CSV file of a batch, held in memory while it is read."
    )


def _nothing(given: object) -> object:
    """TOML has no word for nothing: an empty text."""
    return None if given == "" else given


MaybeText = Annotated[str | None, BeforeValidator(_nothing)]


class LlmSettings(Section):
    """How agents think with language models, those that do not say it themselves."""

    model: MaybeText = Field(
        default=None,
        description='The model of agents that name none, and whose flock names none, as "openai:gpt-4.1". Empty: such '
        "an agent fails, and says what to set.",
    )
    base_url: MaybeText = Field(
        default=None,
        description="An OpenAI-compatible server (Ollama, vLLM, llama.cpp, a proxy), as "
        '"http://127.0.0.1:11434/v1". Empty: the provider that the model\'s name begins with.',
    )
    api_key_env: MaybeText = Field(
        default=None,
        description="The environment variable that holds the key, which is kept nowhere else. Empty: the one that the "
        "provider's own library reads, such as OPENAI_API_KEY.",
    )
    timeout_seconds: Seconds = Field(
        default=120.0,
        description="How long one request to a model may take. A long answer of a slow model fits; a connection that "
        "hangs does not hold a run for ever.",
    )
    max_tokens: Count = Field(
        default=1024,
        description="Tokens of one answer. A small model that rambles ends there, and the error says so.",
    )
    max_concurrency: Count = Field(
        default=16,
        description="Requests at once to one model, of all agents together. Providers refuse those who send more.",
    )
    retries: int = Field(
        default=3,
        ge=0,
        description="Times that a request is sent again which the provider refused for now (429, 5xx, a "
        "connection that failed). They count as no attempts of the run.",
    )

    @field_validator("base_url")
    @classmethod
    def _is_a_url(cls, base_url: str | None) -> str | None:
        if base_url is not None and not base_url.startswith(("http://", "https://")):
            raise ValueError('base_url begins with http:// or https://, as "http://127.0.0.1:11434/v1"')
        return base_url

    @field_validator("api_key_env")
    @classmethod
    def _is_the_name_of_a_variable(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
            raise ValueError("api_key_env is the name of an environment variable, not the key itself")
        return name


class LogSettings(Section):
    """What is written to standard output."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="The least severe line that is written. debug shows each verb and each claim.",
    )
    format: Literal["text", "json"] = Field(
        default="text", description="text for people, json (one object a line) for whatever collects logs."
    )
