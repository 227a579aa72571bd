"""`Config`: all sections together, and how its layers are read, laid over each other and refused.

From the strongest to the weakest: the command line, `FLOCKD_SECTION__NAME`, `API_HOST` and `API_PORT`, the
same variables in `.env`, `config.toml`, the defaults. An empty variable counts as one that is not set.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, get_args

from pydantic import BaseModel, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from flockd.config.agent_tables import AgentTable
from flockd.config.budget_tables import BudgetTable
from flockd.config.llm_tables import ModelTable
from flockd.config.sections import (
    AuthSettings,
    BatchSettings,
    LimitSettings,
    LlmSettings,
    LogSettings,
    Section,
    ServerSettings,
    ShutdownSettings,
    StoreSettings,
    StreamSettings,
    SupervisorSettings,
)
from flockd.config.tables import TABLES, FlowTable, TypeTable, WorkflowTable
from flockd.config.timer_tables import TimerTable

ENV_PREFIX = "FLOCKD_"
ENV_DELIMITER = "__"
ENV_FILE = ".env"
ALIASES = {"API_HOST": ("server", "host"), "API_PORT": ("server", "port")}

# Not settings: what the tests are told, and the links that Kubernetes puts into every pod beside a Service
# called "flockd" (FLOCKD_SERVICE_HOST, FLOCKD_PORT=tcp://10.0.0.1:8344, FLOCKD_PORT_8344_TCP_ADDR, …).
_FOREIGN_NAME = re.compile(
    r"FLOCKD_TEST_.*|FLOCKD(_[A-Z0-9_]+)?_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)"
    r"|FLOCKD(_[A-Z0-9_]+)?_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://")


class ConfigError(Exception):
    """The configuration cannot be used; `message` has a sentence, on a line of its own, for each reason."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class Config(BaseSettings):
    """Everything that can be set. Frozen; `Config()` is the defaults alone, `load` reads the layers."""

    model_config = SettingsConfigDict(
        extra="forbid",
        frozen=True,
        env_prefix=ENV_PREFIX,
        env_nested_delimiter=ENV_DELIMITER,
        env_ignore_empty=True,
    )

    modules: list[str] = Field(
        default=[],
        description='Python modules whose flocks and agents are loaded, as "package.module". Empty, '
        "and no agents declared here: the demo flock.",
    )
    server: ServerSettings = ServerSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    auth: AuthSettings = AuthSettings()
    store: StoreSettings = StoreSettings()
    limits: LimitSettings = LimitSettings()
    supervisor: SupervisorSettings = SupervisorSettings()
    streams: StreamSettings = StreamSettings()
    batch: BatchSettings = BatchSettings()
    llm: LlmSettings = LlmSettings()
    log: LogSettings = LogSettings()
    types: list[TypeTable] = Field(
        default=[], description="Artifact types that are declared here, [[types]]."
    )
    agents: list[AgentTable] = Field(default=[], description="Agents that are declared here, [[agents]].")
    flows: list[FlowTable] = Field(default=[], description="Flows that are declared here, [[flows]].")
    workflows: list[WorkflowTable] = Field(
        default=[], description="Workflows that are declared here, [[workflows]]."
    )
    timers: list[TimerTable] = Field(default=[], description="Timers that are declared here, [[timers]].")
    models: list[ModelTable] = Field(
        default=[], description="Limits and prices of language models, [[models]]."
    )
    budgets: list[BudgetTable] = Field(
        default=[], description="How much calls of language models may take, [[budgets]]."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what the constructor is given: a test's `Config()` must not depend on its environment."""
        return (init_settings,)

    @classmethod
    def load(
        cls, path: Path | None = None, overrides: Mapping[str, Mapping[str, object]] | None = None
    ) -> Config:
        """The configuration of this process: the file at `path` under the environment and `overrides`.

        No file is read where `path` is None. `overrides` is the command line, as section → name → value.

        Raises:
            ConfigError: an unknown name, an invalid value or an unreadable file.
        """
        environment = EnvSettingsSource(cls)
        env_file = (
            DotEnvSettingsSource(cls, env_file=ENV_FILE, env_file_encoding="utf-8")
            if _readable_env_file()
            else None
        )
        layers = [_file_layer(cls, path)]
        if env_file is not None:
            layers += _environment_layers(env_file, where=f" in {ENV_FILE}")
        layers += _environment_layers(environment, where="")
        layers.append(_Layer("the command line", overrides or {}))
        return cls._from_layers(layers)

    @classmethod
    def _from_layers(cls, layers: Iterable[_Layer]) -> Self:
        values: dict[str, Any] = {}
        origins: dict[tuple[str, ...], str] = {}
        for layer in layers:
            for name, value in layer.values.items():
                beneath = values.get(name)
                if isinstance(value, Mapping) and isinstance(beneath, Mapping):
                    values[name] = {**beneath, **value}
                else:
                    values[name] = value
                origins[name,] = layer.origin
                if isinstance(value, Mapping):
                    origins.update({(name, key): layer.origin for key in value})
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError("\n".join(_sentence(problem, origins) for problem in error.errors())) from None

    @model_validator(mode="after")
    def _reachable_only_by_whom_the_mode_allows(self) -> Self:
        if self.auth.mode == "required":
            raise ValueError(
                'auth.mode is "required", but this version cannot make API keys yet: '
                'set auth.mode = "loopback" (this machine only), or "open" behind a proxy that authenticates.'
            )
        if self.auth.mode == "loopback" and not self.server.is_loopback:
            raise ValueError(
                f'server.host is "{self.server.host}", which others can reach, and auth.mode is "loopback": '
                'set auth.mode = "open" to let everybody in who can reach the port, '
                'or bind to server.host = "127.0.0.1".'
            )
        return self

    def warnings(self) -> list[str]:
        """What an operator should be told at start, one sentence each."""
        if self.auth.mode != "open":
            return []
        return [
            f'auth.mode is "open": everybody who can reach {self.server.host}:{self.server.port} '
            "may publish, run agents, read everything and reset the board."
        ]


class _Layer(NamedTuple):
    """What one source sets, and what to call that source in a sentence."""

    origin: str
    values: Mapping[str, object]


def _file_layer(settings: type[Config], path: Path | None) -> _Layer:
    if path is None:
        return _Layer("the defaults", {})
    if not path.is_file():
        raise ConfigError(f"There is no configuration file {path}.")
    try:
        return _Layer(str(path), TomlConfigSettingsSource(settings, path).toml_data)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def _readable_env_file() -> bool:
    path = Path(ENV_FILE)
    if not path.is_file():
        return False
    try:
        path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{ENV_FILE} cannot be read: {error}.") from None
    return True


def _environment_layers(source: EnvSettingsSource, where: str) -> list[_Layer]:
    """The layers of one set of variables: the aliases beneath the `FLOCKD_*` names."""
    variables = {name.upper(): value for name, value in source.env_vars.items() if value is not None}
    _check_names(variables, where)
    layers = []
    for alias, (section, name) in ALIASES.items():
        if value := variables.get(alias):
            layers.append(_Layer(f"{alias}{where}", {section: {name: value}}))
    # Called as its base: a DotEnvSettingsSource adds what .env holds for other programs as extra settings.
    for name, value in EnvSettingsSource.__call__(source).items():
        if not isinstance(value, Mapping):
            layers.append(_Layer(_variable(name) + where, {name: value}))
            continue
        for key, setting in value.items():
            variable = _variable(name, key) if _variable(name, key) in variables else _variable(name)
            layers.append(_Layer(variable + where, {name: {key: setting}}))
    return layers


def _variable(*names: str) -> str:
    return ENV_PREFIX + ENV_DELIMITER.join(names).upper()


def _check_names(variables: Mapping[str, str], where: str) -> None:
    """Refuse a `FLOCKD_*` name that sets nothing: a misspelt one would otherwise pass in silence.

    Raises:
        ConfigError: naming the nearest setting; also where a variable that must be JSON is not.
    """
    sections = _sections()
    nested = {_variable(section, key) for section, keys in sections.items() for key in keys}
    whole = {_variable(name) for name in Config.model_fields}
    for name, value in variables.items():
        if not name.startswith(ENV_PREFIX) or _FOREIGN_NAME.fullmatch(name) or _SERVICE_ADDRESS.match(value):
            continue
        if name in whole:
            try:
                json.loads(value)
            except ValueError:
                raise ConfigError(f"{name}{where} must be JSON, and is not.") from None
        elif name not in nested:
            near = [
                known for known in nested if known.endswith(ENV_DELIMITER + name.removeprefix(ENV_PREFIX))
            ]
            raise ConfigError(f"{name}{where} is no setting.{_did_you_mean(name, nested | whole, near)}")


def _sections() -> dict[str, list[str]]:
    """The names of the settings, by section."""
    return {
        name: list(field.annotation.model_fields)
        for name, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    }


def _did_you_mean(name: str, known: Iterable[str], better: Iterable[str] = ()) -> str:
    """The question that ends a refusal: the first of the `better` guesses, else the nearest known name."""
    guesses = [*better] or difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {guesses[0]}?" if guesses else ""


def _sentence(problem: ErrorDetails, origins: Mapping[tuple[str, ...], str]) -> str:
    """One problem as a sentence that names the setting, its value and where that came from."""
    location = problem["loc"]
    names = tuple(str(part) for part in location)
    origin = origins.get(names[:2]) or origins.get(names[:1]) or "the defaults"
    setting = _dotted(location)
    match problem["type"]:
        case "extra_forbidden":
            return f"{origin}: there is no setting {setting}.{_nearest_setting(location)}"
        case "value_error":
            reason = str(problem["ctx"]["error"])
            return f"{setting}: {reason} ({origin})." if setting else reason
        case "missing":
            return f"{origin}: {setting} is missing."
        case "model_type":
            return f"{origin}: {setting} must be a table, written [{setting}]."
        case "list_type" if setting in TABLES:
            return f"{origin}: {setting} must be a list of tables, written [[{setting}]]."
    expectation = re.sub(r"^(Input|Value|String|List) |, unable to parse.*", "", problem["msg"])
    return f"{setting} is {problem['input']!r}, but it {expectation} ({origin})."


def _dotted(location: Iterable[int | str]) -> str:
    """`("agents", 0, "where")` as `agents[0].where`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).removeprefix(
        "."
    )


def _nearest_setting(location: tuple[int | str, ...]) -> str:
    """The known name that an unknown one most likely meant: in its own table first, then anywhere."""
    *parents, name = location
    everywhere = {
        *Config.model_fields,
        *(f"{section}.{key}" for section, keys in _sections().items() for key in keys),
    }
    table = _table_at(parents) if parents else None
    siblings = [field.alias or key for key, field in table.model_fields.items()] if table else []
    close = difflib.get_close_matches(str(name), siblings, n=1)
    elsewhere = [setting for setting in sorted(everywhere) if setting.partition(".")[2] == name]
    return _did_you_mean(
        _dotted(location), everywhere, [_dotted((*parents, close[0]))] if close else elsewhere
    )


def _table_at(location: Iterable[int | str]) -> type[BaseModel] | None:
    """The model of the table at a location: of a section, or of one in a list of tables; None for other values."""
    table: type[BaseModel] = Config
    for name in location:
        if isinstance(name, int):
            continue
        annotation = table.model_fields[name].annotation
        of_list = get_args(annotation)
        value = of_list[0] if of_list else annotation
        if not isinstance(value, type) or not issubclass(value, BaseModel):
            return None
        table = value
    return table
