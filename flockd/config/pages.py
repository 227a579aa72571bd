"""`config.toml` and `docs/settings.md`, written from the models, so that neither can fall behind them."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from flockd.config.load import Config
from flockd.config.sections import KIB, MIB, Section
from flockd.config.tables import TABLES

COMMENT_WIDTH = 100

_TOML_HEAD = """\
# Every setting of flockd with its default. Delete what you do not change.
# A variable FLOCKD_SECTION__NAME wins over this file (FLOCKD_SERVER__PORT=9000), the command line over both.
# Written by `python -m flockd.config toml`."""

_TOML_TABLES = """\
# Artifact types, agents, flows, workflows and timers without a line of Python; docs/settings.md lists every key.
#
# [[types]]
# name = "Ticket"
# fields = "subject: str | what it is about, urgent: bool | whether somebody waits"
#
# [[agents]]
# name = "triage"
# function = "support.triage:triage"   # module:attr, found from the working directory and from src/
# input = "subject: str | what it is about"
# output = "queue: str | who takes it"
# max_concurrency = 4
# timeout = "30s"
#
# [[agents]]
# name = "text_analyzer"
# engine = "llm"                        # thinks with llm.model, or with a model = of its own
# input = "text: str"
# output = "sentiment: str, keywords: list[str]"
#
# [[agents]]
# name = "pricer"
# engine = "http"                       # a service, which gets each run by POST
# url = "https://prices.example/runs"
# headers = {Authorization = "PRICES_TOKEN"}   # the environment variable with the value
# input = "item: str"
# output = "price: float"
#
# [[models]]
# name = "openai:gpt-4.1"
# rate = "60/1m"
#
# [[budgets]]
# scope = "agent"                       # each agent for itself
# usd = 5.0
# per = "day"
#
# [[flows]]
# name = "poem_flow"
# class = "poems.flow:PoemFlow"         # with kickoff() or kickoff_async() and a state
#
# [[workflows]]
# name = "support"
# start = "Ticket"
# phases = [{name = "triage", types = ["TriageOutput"]}]
#
# [[timers]]
# name = "reminder"
# schedule = {daily = "09:00", tz = "Europe/Berlin"}
# publish = "Ticket"
# payload = {subject = "Look at what is open.", urgent = false}"""

_PAGE_HEAD = """\
# Settings

From the strongest to the weakest:

1. the command line (`flockd serve --port 9000`),
2. environment variables `FLOCKD_SECTION__NAME` (two underscores: `FLOCKD_SERVER__PORT=9000`; lists and whole
   sections as JSON: `FLOCKD_MODULES='["shop.agents"]'`),
3. `API_HOST` and `API_PORT`, other names of `server.host` and `server.port`,
4. the same variables in a file `.env` in the working directory,
5. `config.toml` in the working directory, or the file that `--config` names,
6. the defaults below.

An empty variable counts as one that is not set. A name that sets nothing is an error that names the nearest
one, wherever it stands, and so is a value that does not fit. A change takes effect at the next start, which
loses no work.

Written by `python -m flockd.config page`."""


class Setting(NamedTuple):
    """One setting: its name in its table, its default and its reason."""

    name: str
    default: object
    reason: str

    @property
    def literal(self) -> str:
        """The default as TOML, which has no word for nothing."""
        if self.default is None:
            return '""'
        if isinstance(self.default, int) and not isinstance(self.default, bool) and self.default >= 10_000:
            return f"{self.default:_}"
        return json.dumps(str(self.default) if isinstance(self.default, Path) else self.default)

    @property
    def size(self) -> str:
        """A number of bytes as people say it ("64 MiB"), else nothing."""
        if not self.name.endswith("_bytes") or not isinstance(self.default, int):
            return ""
        return f"{self.default // MIB} MiB" if self.default >= MIB else f"{self.default // KIB} KiB"


def sections() -> Iterator[tuple[str, str, list[Setting]]]:
    """Every section: its name, its sentence, its settings. Those outside of any come first, as ""."""
    defaults = Config()
    yield "", "", [Setting("modules", defaults.modules, Config.model_fields["modules"].description or "")]
    for name in Config.model_fields:
        section = getattr(defaults, name)
        if isinstance(section, Section):
            yield (
                name,
                section.__doc__ or "",
                [
                    Setting(key, getattr(section, key), field.description or "")
                    for key, field in type(section).model_fields.items()
                ],
            )


def toml_file() -> str:
    """The text of `config.toml`: it parses to the defaults."""
    blocks = [_TOML_HEAD]
    for name, sentence, settings in sections():
        if name:
            blocks.append(f"[{name}]\n# {sentence}")
        for setting in settings:
            size = f"  # {setting.size}" if setting.size else ""
            blocks.append(f"{_comment(setting.reason)}\n{setting.name} = {setting.literal}{size}")
    return "\n\n".join([*blocks, _TOML_TABLES]) + "\n"


def settings_page() -> str:
    """The text of `docs/settings.md`."""
    blocks = [_PAGE_HEAD]
    for name, sentence, settings in sections():
        rows = [
            (
                f"`{name}.{setting.name}`" if name else f"`{setting.name}`",
                f"`{setting.literal}`" + (f" ({setting.size})" if setting.size else ""),
                setting.reason,
            )
            for setting in settings
        ]
        blocks.append(f"## {name or 'Outside of any section'}")
        blocks += [sentence] if sentence else []
        blocks.append(_markdown_table(("setting", "default", "what and why"), rows))
    for name, model in TABLES.items():
        own = inspect.get_annotations(model)  # before what it has in common with others
        rows = [
            (f"`{field.alias or key}`", "required" if field.is_required() else "", field.description or "")
            for key, field in sorted(model.model_fields.items(), key=lambda item: item[0] not in own)
        ]
        blocks += [
            f"## [[{name}]]",
            inspect.cleandoc(model.__doc__ or ""),
            _markdown_table(("key", "", "what"), rows),
        ]
    return "\n\n".join(blocks) + "\n"


def _comment(sentence: str) -> str:
    return textwrap.fill(
        sentence, COMMENT_WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
    )


def _markdown_table(heads: tuple[str, ...], rows: list[tuple[str, str, str]]) -> str:
    lines = [heads, ("---",) * len(heads), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
