"""The configuration: which layer wins, and how each mistake is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from flockd.config import Config, ConfigError, ServerSettings, StoreSettings, sqlite_path

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads in an empty folder and environment: `load(toml, dotenv=, overrides=, NAME="value")`."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("FLOCKD_", "API_")):
            monkeypatch.delenv(name)

    def load(
        toml: str | None = None,
        dotenv: str | None = None,
        overrides: dict[str, dict[str, object]] | None = None,
        **environment: str,
    ) -> Config:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        if dotenv is not None:
            Path(".env").write_text(dotenv, "utf-8")
        if toml is None:
            return Config.load(None, overrides)
        Path("config.toml").write_text(toml, "utf-8")
        return Config.load(Path("config.toml"), overrides)

    return load


def refusal(load: Load, *arguments: str, **environment: str) -> str:
    with pytest.raises(ConfigError) as refused:
        load(*arguments, **environment)
    assert str(refused.value) == refused.value.message
    return refused.value.message


def test_nothing_given_is_the_defaults(load: Load) -> None:
    assert load() == Config()


def test_each_layer_wins_over_those_below_it(load: Load) -> None:
    toml = "[server]\nport = 1"
    assert load(toml).server.port == 1
    assert load(toml, "API_PORT=2").server.port == 2
    assert load(toml, "API_PORT=2\nFLOCKD_SERVER__PORT=3").server.port == 3
    assert load(toml, API_PORT="4").server.port == 4
    assert load(toml, FLOCKD_SERVER__PORT="5").server.port == 5
    assert load(toml, overrides={"server": {"port": 6}}).server.port == 6


def test_layers_are_laid_over_each_other_setting_by_setting(load: Load) -> None:
    config = load(
        "[server]\nbacklog = 9\nport = 1\n[log]\nlevel = 'debug'",
        overrides={"server": {"port": 2}},
        FLOCKD_SERVER='{"access_log": true}',
        FLOCKD_LOG__FORMAT="json",
    )
    assert (config.server.backlog, config.server.port, config.server.access_log) == (9, 2, True)
    assert (config.log.level, config.log.format) == ("debug", "json")


def test_lists_come_as_json(load: Load) -> None:
    assert load('modules = ["a"]', FLOCKD_MODULES='["b", "c"]').modules == ["b", "c"]


def test_an_empty_variable_is_not_set(load: Load) -> None:
    assert load("[server]\nport = 1", FLOCKD_SERVER__PORT="", API_PORT="").server.port == 1


def test_variables_of_other_programs_are_left_alone(load: Load) -> None:
    config = load(
        dotenv="OPENAI_API_KEY=x\nSERVER__PORT=1",
        FLOCKD_TEST_STRICT="1",
        FLOCKD_SERVICE_HOST="10.0.0.1",
        FLOCKD_SERVICE_PORT_HTTP="8344",
        FLOCKD_PORT="tcp://10.0.0.1:8344",
        FLOCKD_PORT_8344_TCP_ADDR="10.0.0.1",
        FLOCKD_WEB_SERVICE_PORT="80",
    )
    assert config == Config()


def test_the_constructor_reads_no_environment(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOCKD_SERVER__PORT", "1")
    assert Config().server.port == 8344


def test_it_cannot_be_changed() -> None:
    config = Config()
    with pytest.raises(ValidationError):
        config.server = ServerSettings(port=1)
    with pytest.raises(ValidationError):
        config.server.port = 1  # type: ignore[misc]


AGENT = "[[agents]]\nname = 'a'\nfunction = 'm:f'\n"


@pytest.mark.parametrize(
    ("toml", "sentence"),
    [
        (
            "[server]\nprot = 1",
            "config.toml: there is no setting server.prot. Did you mean server.port?",
        ),
        ("[sever]\nport = 1", "config.toml: there is no setting sever. Did you mean server?"),
        (
            "[server]\ngrace_seconds = 1",
            "config.toml: there is no setting server.grace_seconds. Did you mean shutdown.grace_seconds?",
        ),
        ("port = 1", "config.toml: there is no setting port. Did you mean server.port?"),
        ("[log]\nzzzzz = 1", "config.toml: there is no setting log.zzzzz."),
        (
            "[server]\nport = 99999",
            "server.port is 99999, but it should be less than or equal to 65535 (config.toml).",
        ),
        (
            "[auth]\nmode = 'opne'",
            "auth.mode is 'opne', but it should be 'loopback', 'required' or 'open' (config.toml).",
        ),
        (
            "[limits]\nsync_wait_seconds = nan",
            "limits.sync_wait_seconds is nan, but it should be a finite number (config.toml).",
        ),
        ("server = 3", "config.toml: server must be a table, written [server]."),
        ("[agents]\nname = 'a'", "config.toml: agents must be a list of tables, written [[agents]]."),
        (
            "[[agents]]\nname = 'a'\nfunction = 'm:f'\noutptu = 'x'",
            "config.toml: there is no setting agents[0].outptu. Did you mean agents[0].output?",
        ),
        (
            "[[agents]]\nname = 'a'",
            'agents[0]: the agent "a" needs function = "module:attr" (config.toml).',
        ),
        (
            "[[agents]]\nname = 'a'\nfunction = 'f'",
            'agents[0].function: "f" names no function; write "package.module:function" (config.toml).',
        ),
        (
            "[llm]\nbase_url = '127.0.0.1'",
            'llm.base_url: base_url begins with http:// or https://, as "http://127.0.0.1:11434/v1" (config.toml).',
        ),
        (
            "[llm]\napi_key_env = 'sk-secret'",
            "llm.api_key_env: api_key_env is the name of an environment variable, not the key itself (config.toml).",
        ),
        (
            "[llm]\nmax_tokens = 0",
            "llm.max_tokens is 0, but it should be greater than or equal to 1 (config.toml).",
        ),
        (
            "[[models]]\nname = 'm'\nrates = '1/s'",
            "config.toml: there is no setting models[0].rates. Did you mean models[0].rate?",
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'llm'\ninput = 'a: str'\noutput = 'b: str'\ncontext = 'all'",
            'agents[0].context: "all" is no context; write "inputs", "correlation", a number of artifacts, or a '
            "table (config.toml).",
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'llm'\ninput = 'a: str'\noutput = 'b: str'\ncontext = {types = 'A'}",
            "config.toml: there is no setting agents[0].context.types. Did you mean agents[0].context.type?",
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'llm'\ninput = 'a: str'\noutput = 'b: str'\ntools = ['look']",
            'agents[0].tools: "look" names no function; write "package.module:function" (config.toml).',
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'llm'\ninput = 'a: str'\noutput = 'b: str'\nbudget = {per = 'day'}",
            "agents[0].budget: a budget bounds requests, tokens or usd, and this one bounds none of them "
            "(config.toml).",
        ),
        (
            "[[agents]]\nname = 'a'\nfunction = 'm:f'\nbudget = {usd = 1}",
            'agents[0]: the agent "a" is a function, which has no budget; did you mean engine = "llm"? (config.toml).',
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'mail'\nfunction = 'm:f'",
            'agents[0].engine: there is no engine "mail": it is one of function, llm, http (config.toml).',
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'llm'\nfunction = 'm:f'",
            'agents[0]: the agent "a" has engine = "llm", which takes no function (config.toml).',
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'llm'\ninput = 'q: str'",
            'agents[0]: the agent "a" needs output or publishes: it has no function to read (config.toml).',
        ),
        (
            "[[agents]]\nname = 'a'\nfunction = 'm:f'\nmodel = 'openai:gpt-4.1'",
            'agents[0]: the agent "a" is a function, which has no model; did you mean engine = "llm"? (config.toml).',
        ),
        ("[[flows]]\nname = 'a'", "config.toml: flows[0].class is missing."),
        (
            "[[flows]]\nclass = 'poems.PoemFlow'",
            'flows[0].class: "poems.PoemFlow" names no class; write "package.module:Class" (config.toml).',
        ),
        (
            "[[flows]]\nclass = 'm:F'\nreqest = 'm:R'",
            "config.toml: there is no setting flows[0].reqest. Did you mean flows[0].request?",
        ),
        (
            "[workflows]\nname = 'a'",
            "config.toml: workflows must be a list of tables, written [[workflows]].",
        ),
        (
            "[[workflows]]\nname = 'a'\nstart = 'T'\nphases = []",
            "workflows[0].phases is [], but it should have at least 1 item after validation, not 0 (config.toml).",
        ),
        (
            "[[workflows]]\nname = 'a'\nstart = 'T'\nphases = [{name = 'p', tpyes = ['T']}]",
            "config.toml: workflows[0].phases[0].types is missing.\n"
            "config.toml: there is no setting workflows[0].phases[0].tpyes. "
            "Did you mean workflows[0].phases[0].types?",
        ),
        (
            "[[workflows]]\nname = 'a'\nstart = 'T'\n"
            "phases = [{name = 'p', types = ['T']}, {name = 'p', types = ['U']}]",
            'workflows[0].phases: two phases are called "p" (config.toml).',
        ),
        (
            "[[types]]\nname = 'T'\nshema = {}\nfields = 'a: str'",
            "config.toml: there is no setting types[0].shema. Did you mean types[0].schema?",
        ),
        (
            "[[types]]\nname = 'T'",
            'types[0]: the type "T" needs either fields or schema, and not both (config.toml).',
        ),
        (
            AGENT + "fan_out = 'x'",
            "config.toml: agents[0].fan_out must be a table, written [agents[0].fan_out].",
        ),
        (
            AGENT + "join = {by = 3, within = '1h'}",
            'agents[0].join.by: by is a field path ("order.id"), or a table with one for each type (config.toml).',
        ),
        (
            AGENT + "schedule = {every = '5m', daily = '09:00'}",
            "agents[0].schedule: a schedule is one of every, daily, once, cron, and this has every and daily "
            "(config.toml).",
        ),
        (
            AGENT + "schedule = {}",
            "agents[0].schedule: a schedule is one of every, daily, once, cron, and this has none of them "
            "(config.toml).",
        ),
        (
            "[[agents]]\nname = 'a'\nengine = 'llm'\ninput = 'a: str'\noutput = 'b: str'\nfan_out = 3",
            'agents[0]: the agent "a" has engine = "llm", which takes no fan_out (config.toml).',
        ),
        (
            "[[timers]]\nname = 't'\nschedule = {every = '5m'}\nrun = 'x'\npublish = 'Y'",
            'timers[0]: the timer "t" needs either publish or run, and not both (config.toml).',
        ),
        (
            "[timers]\nname = 't'",
            "config.toml: timers must be a list of tables, written [[timers]].",
        ),
        (
            "[store]\nurl = 'postgresql+asyncpg://u:secret@h/d'",
            "store.url: PostgreSQL comes with a later version; write sqlite:///path/file.db (config.toml).",
        ),
        (
            "[auth]\nmode = 'required'",
            'auth.mode is "required", but this version cannot make API keys yet: '
            'set auth.mode = "loopback" (this machine only), or "open" behind a proxy that authenticates.',
        ),
        (
            "[server]\nhost = '0.0.0.0'",
            'server.host is "0.0.0.0", which others can reach, and auth.mode is "loopback": '
            'set auth.mode = "open" to let everybody in who can reach the port, '
            'or bind to server.host = "127.0.0.1".',
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence(load: Load, toml: str, sentence: str) -> None:
    assert refusal(load, toml) == sentence


def test_each_mistake_has_a_line(load: Load) -> None:
    message = refusal(load, "[limits]\nrunning = 0\n[server]\nprot = 1\nport = 'x'")
    assert message.splitlines() == [
        "server.port is 'x', but it should be a valid integer (config.toml).",
        "config.toml: there is no setting server.prot. Did you mean server.port?",
        "limits.running is 0, but it should be greater than or equal to 1 (config.toml).",
    ]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("FLOCKD_SERVER__PROT", "1", "is no setting. Did you mean FLOCKD_SERVER__PORT?"),
        ("FLOCKD_SERVR__PORT", "1", "is no setting. Did you mean FLOCKD_SERVER__PORT?"),
        ("FLOCKD_SERVER_PORT", "1", "is no setting. Did you mean FLOCKD_SERVER__PORT?"),
        ("FLOCKD_PORT", "8344", "is no setting. Did you mean FLOCKD_SERVER__PORT?"),
        ("FLOCKD_SERVER__PORT__X", "1", "is no setting. Did you mean FLOCKD_SERVER__PORT?"),
        ("FLOCKD_MODULES", "a", "must be JSON, and is not."),
    ],
)
@pytest.mark.parametrize("where", ["", " in .env"])
def test_a_mistake_in_a_variable_names_the_variable(
    load: Load, name: str, value: str, sentence: str, where: str
) -> None:
    if where:
        with pytest.raises(ConfigError) as refused:
            load(dotenv=f"{name}={value}")
        assert refused.value.message == f"{name}{where} {sentence}"
    else:
        assert refusal(load, **{name: value}) == f"{name} {sentence}"


@pytest.mark.parametrize("name", ["FLOCKD_SERVER__PORT", "API_PORT"])
def test_a_value_that_does_not_fit_names_where_it_came_from(load: Load, name: str) -> None:
    sentence = f"server.port is 'x', but it should be a valid integer ({name})."
    assert refusal(load, "[server]\nport = 1", **{name: "x"}) == sentence


def test_an_unreadable_file_is_a_sentence(load: Load, tmp_path: Path) -> None:
    assert refusal(load, "x =").startswith("config.toml is not valid TOML: ")
    with pytest.raises(ConfigError) as refused:
        Config.load(tmp_path / "none.toml")
    assert refused.value.message == f"There is no configuration file {tmp_path / 'none.toml'}."


def test_an_env_file_that_is_no_text_is_a_sentence(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"\xff\xfe")
    assert refusal(load).startswith(".env cannot be read: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost", "a.localhost"])
def test_loopback_needs_no_other_mode(host: str) -> None:
    assert Config(server=ServerSettings(host=host)).warnings() == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.1", "example.org"])
def test_every_other_address_does(load: Load, host: str) -> None:
    refusal(load, FLOCKD_SERVER__HOST=host)
    (warning,) = load(FLOCKD_SERVER__HOST=host, FLOCKD_AUTH__MODE="open").warnings()
    assert warning.startswith(f'auth.mode is "open": everybody who can reach {host}:8344')


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8344"),
        ("0.0.0.0", "http://127.0.0.1:8344"),
        ("::", "http://[::1]:8344"),
        ("localhost", "http://localhost:8344"),
    ],
)
def test_a_client_calls_an_address_that_can_be_called(host: str, url: str) -> None:
    assert ServerSettings(host=host).client_url == url


def test_the_store_is_in_the_data_directory_unless_a_url_says_otherwise() -> None:
    assert StoreSettings().location == "sqlite:///data/flockd.db"
    assert StoreSettings(data_dir=Path("/var/lib/flockd")).path == Path("/var/lib/flockd/flockd.db")
    assert StoreSettings(url="sqlite:///a/b.db").path == Path("a/b.db")
    assert StoreSettings(url="sqlite:////a/b.db").path == Path("/a/b.db")


@pytest.mark.parametrize(
    "url", ["file.db", "sqlite://", "sqlite:///", "sqlite:///:memory:", "mysql://u:secret@h"]
)
def test_a_url_of_no_store_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"the store is written sqlite:///path/file\.db") as refused:
        sqlite_path(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("written", "option", "value"),
    [
        ("fan_out = 3", "fan_out", {"min": 3, "max": 3}),
        ("fan_out = {max = 3}", "fan_out", {"max": 3}),
        ("backoff = '5s'", "backoff", {"*": "5s"}),
        ("backoff = {timeout = '1s'}", "backoff", {"timeout": "1s"}),
        ("join = {by = 'a.b', within = '1h'}", "join", {"by": "a.b", "within": "1h"}),
        ("join = {by = {A = 'a'}, within = '1h'}", "join", {"by": {"A": "a"}, "within": "1h"}),
        ("batch = {size = 2, timeout = '1s'}", "batch", {"size": 2, "timeout": "1s"}),
        ("schedule = {once = 2026-12-24T18:00:00Z}", "schedule", {"once": "2026-12-24T18:00:00+00:00"}),
        ("schedule = {once = '2026-12-24'}", "schedule", {"once": "2026-12-24"}),
    ],
)
def test_options_that_are_tables_and_their_short_forms(
    load: Load, written: str, option: str, value: object
) -> None:
    (agent,) = load(AGENT + written).agents
    assert agent.options() == {option: value}


def test_types_and_agents_are_tables(load: Load) -> None:
    config = load(
        """
        [[types]]
        name = "Ticket"
        schema = { type = "object" }

        [[agents]]
        name = "triage"
        function = "support.triage:Desk.triage"
        timeout = "30s"
        visibility = { kind = "Private", agents = ["a"] }
        """
    )
    (ticket,), (triage,) = config.types, config.agents
    assert (ticket.name, ticket.json_schema, ticket.fields) == ("Ticket", {"type": "object"}, None)
    assert (triage.engine, triage.function, triage.timeout) == (
        "function",
        "support.triage:Desk.triage",
        "30s",
    )
    assert triage.visibility == {"kind": "Private", "agents": ["a"]}
    assert triage.retries is None
