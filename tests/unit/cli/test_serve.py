"""`flockd serve`, `serve --reload` and `check`: what is loaded and handed to the daemon."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import Result

from flockd import Flock
from flockd.cli.check import field_lines, type_word
from flockd.config import Config
from flockd.flock.declaration import DeclarationError

Flockd = Callable[..., Result]
ROOT = Path(__file__).resolve().parents[3]
FLOCK = """
from pydantic import BaseModel
from flockd import Flock

flock = Flock(name="desk")

class Ticket(BaseModel):
    subject: str

class Answer(BaseModel):
    text: str = "none"

@flock.agent
def clerk(ticket: Ticket) -> Answer:
    "Answers tickets."
    return Answer()
"""


class App(ModuleType):
    """The modules of the daemon and its process, which only note what they are to serve."""

    def __init__(self) -> None:
        super().__init__("flockd.app")
        self.served: list[tuple[Config, Flock]] = []
        self.refusal = ""

    def serve(self, config: Config, flock: Flock) -> int:
        self.make_app(config, flock)
        self.served.append((config, flock))
        return 3

    def make_app(self, _config: Config, _flock: Flock) -> None:
        if self.refusal:
            raise DeclarationError(self.refusal)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, flockd: Flockd) -> Iterator[App]:
    app = App()
    for name in ("flockd.app", "flockd.process"):
        monkeypatch.setitem(sys.modules, name, app)
    monkeypatch.setattr("sys.path", list(sys.path))
    Path("desk.py").write_text(FLOCK, "utf-8")
    yield app
    sys.modules.pop("desk", None)


def test_serve_hands_over_the_flock_and_exits_with_the_daemons_code(flockd: Flockd, app: App) -> None:
    result = flockd("serve", "desk:flock", "--host", "::1", "--port", "0", "--store", "sqlite:///b.db")
    assert (result.exit_code, result.output) == (3, "")
    ((config, flock),) = app.served
    assert (config.server.host, config.server.port, config.store.url) == ("::1", 0, "sqlite:///b.db")
    assert list(flock.agents()) == ["clerk"]


def test_the_command_line_wins_over_the_file(flockd: Flockd, app: App) -> None:
    Path("config.toml").write_text('modules = ["desk"]\n[server]\nport = 1\nbacklog = 2', "utf-8")
    assert flockd("serve", "--port", "7").exit_code == 3
    ((config, flock),) = app.served
    assert (config.server.port, config.server.backlog, list(flock.agents())) == (7, 2, ["clerk"])


def test_an_open_daemon_says_so(flockd: Flockd, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOCKD_AUTH__MODE", "open")
    result = flockd("serve", "desk:flock", "--host", "0.0.0.0")
    assert result.stderr.startswith('Warning: auth.mode is "open": everybody who can reach 0.0.0.0:8344 may')


@pytest.mark.parametrize("verb", ["serve", "check"])
def test_what_cannot_be_loaded_is_a_sentence(flockd: Flockd, app: App, verb: str) -> None:
    for options, words in (
        (["none:flock"], "none"),
        (["desk:nobody"], "nobody"),
        (["desk:flock", "--config", "none.toml"], "There is no configuration file none.toml."),
    ):
        result = flockd(verb, *options)
        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert words in result.stderr
        assert "Traceback" not in result.output
    app.refusal = "agent clerk: a route has this name"
    refused = flockd(verb, "desk:flock")
    assert (refused.exit_code, refused.stderr) == (1, "Error: agent clerk: a route has this name\n")
    assert app.served == []


def test_check_shows_types_and_agents(flockd: Flockd, app: App) -> None:
    result = flockd("check", "desk:flock")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.stdout.splitlines()]
    assert ["Ticket", "subject: string"] in rows
    assert ["Answer", "text: string = 'none'"] in rows
    assert ["clerk", "Ticket", "Answer", "Answers tickets."] in rows


PLAIN = {"where": None, "from_agents": [], "tags": [], "join": None, "batch": None}


def test_check_prints_the_shapes_of_the_api(flockd: Flockd, app: App) -> None:
    shown = json.loads(flockd("check", "desk:flock", "--json").stdout)
    assert [each["name"] for each in shown["types"]] == ["Ticket", "Answer"]
    assert shown["types"][0]["schema"]["required"] == ["subject"]
    assert shown["agents"] == [
        {
            "name": "clerk",
            "kind": "function",
            "description": "Answers tickets.",
            "subscriptions": [{"types": ["Ticket"], "mode": "all", **PLAIN}],
            "outputs": ["Answer"],
        }
    ]
    assert (shown["workflows"], shown["warnings"]) == ([], [])


DECLARED = """
from pydantic import BaseModel
from flockd import Flock, FlockAgent

flock = Flock(name="desk")

class Poem(BaseModel):
    sentence_count: int = 1
    text: str = ""

@flock.flow
class PoemFlow:
    "Writes poems."
    state: Poem
    def kickoff(self):
        self.state.text = "A line. " * self.state.sentence_count

flock.add_agent(FlockAgent("my_agent", input="query: str", output="result: str"))
flock.workflow("poetry", start=Poem, phases={"write": [Poem], "judge": ["MyAgentOutput"]}, description="Poems.")
"""


def test_check_shows_flows_and_workflows_and_warns(flockd: Flockd, app: App) -> None:
    Path("desk.py").write_text(DECLARED, "utf-8")
    result = flockd("check", "desk:flock")
    assert result.exit_code == 0
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.stdout.splitlines()]
    assert ["poem_flow", "Poem", "Poem", "Writes poems."] in rows
    assert ["poetry", "Poem", "write: Poem", "Poems."] in rows
    mine = rows.index(["my_agent", "MyAgentInput", "MyAgentOutput", ""])
    assert rows[mine + 1] == ["(llm)", "", "", ""]
    assert sum(row[0] == "poem_flow" for row in rows) == 1
    assert result.stderr.startswith("Warning: agent my_agent thinks with a language model, and none is set: ")
    shown = json.loads(flockd("check", "desk:flock", "--json").stdout)
    assert [(agent["name"], agent["kind"]) for agent in shown["agents"]] == [
        ("poem_flow", "flow"),
        ("my_agent", "llm"),
    ]
    assert shown["workflows"] == [
        {
            "name": "poetry",
            "description": "Poems.",
            "start": "Poem",
            "phases": [{"name": "write", "types": ["Poem"]}, {"name": "judge", "types": ["MyAgentOutput"]}],
        }
    ]
    assert [warning.split()[:2] for warning in shown["warnings"]] == [["agent", "my_agent"]]


def test_check_knows_the_model_of_the_configuration(
    flockd: Flockd, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("desk.py").write_text(DECLARED, "utf-8")
    Path("config.toml").write_text('[llm]\nmodel = "openai:gpt-4.1"\napi_key_env = "DESK_KEY"\n', "utf-8")
    monkeypatch.delenv("DESK_KEY", raising=False)
    assert flockd("check", "desk:flock").stderr == (
        "Warning: agent my_agent: the key for openai:gpt-4.1 is expected in the environment variable DESK_KEY, which "
        "is not set\n"
    )
    monkeypatch.setenv("DESK_KEY", "secret")
    assert flockd("check", "desk:flock").stderr == ""


GATHERED = """
from pydantic import BaseModel
from flockd import BatchSpec, Cron, Every, Flock, JoinSpec

flock = Flock(name="desk")

class Order(BaseModel):
    id: str

class Payment(BaseModel):
    order: str

@flock.agent(join=JoinSpec(by={"Order": "id", "Payment": "order"}, within="1h"))
def ship(order: Order, payment: Payment) -> None: ...

@flock.agent(batch=BatchSpec(size=10, timeout="30s", by="id"))
def count(orders: list[Order]) -> None: ...

@flock.agent(where="id == '7'", from_agents=["ship", "external"], tags="paid")
def seven(order: Order) -> None: ...

@flock.agent(schedule=Every("5m"))
def sweep() -> Order: ...

flock.schedule("nightly", Cron("0 2 * * *"), publish=Payment(order="x"))
"""


def test_check_shows_joins_batches_and_timers(flockd: Flockd, app: App) -> None:
    Path("desk.py").write_text(GATHERED, "utf-8")
    result = flockd("check", "desk:flock")
    assert (result.exit_code, result.stderr) == (0, "")
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in result.stdout.splitlines()]
    cells = [row[1] for row in rows if len(row) == 4]
    ship = cells.index("Order and")
    assert cells[ship : ship + 4] == ["Order and", "Payment", "by Order.id = Payment.order", "within 3600 s"]
    count = cells.index("Order,")
    assert cells[count : count + 3] == ["Order,", "10 at once of one id,", "or after 30 s"]
    assert cells[count + 3 : count + 7] == ["Order", "where id == '7'", "from external, ship", "tagged paid"]
    assert ["sweep", "nothing", "Order", ""] in rows
    assert ["sweep", "starts sweep", "every 5m"] in rows
    assert ["nightly", "publishes Payment", "cron 0 2 * * * (UTC)"] in rows
    shown = json.loads(flockd("check", "desk:flock", "--json").stdout)
    assert [agent["subscriptions"] for agent in shown["agents"]] == [
        [
            {
                "types": ["Order", "Payment"],
                "mode": "all",
                **PLAIN,
                "join": {"by": {"Order": "id", "Payment": "order"}, "within_seconds": 3600},
            }
        ],
        [
            {
                "types": ["Order"],
                "mode": "all",
                **PLAIN,
                "batch": {"size": 10, "timeout_seconds": 30, "by": "id"},
            }
        ],
        [
            {
                "types": ["Order"],
                "mode": "all",
                **PLAIN,
                "where": "id == '7'",
                "from_agents": ["external", "ship"],
                "tags": ["paid"],
            }
        ],
        [],
    ]
    assert shown["timers"] == [
        {"name": "sweep", "schedule": "every 5m", "target": {"publish": None, "run": "sweep"}},
        {
            "name": "nightly",
            "schedule": "cron 0 2 * * * (UTC)",
            "target": {"publish": "Payment", "run": None},
        },
    ]


@pytest.mark.parametrize(
    ("field", "word"),
    [
        ({"type": "array", "items": {"$ref": "#/$defs/Finding"}}, "list[Finding]"),
        ({"type": "array"}, "list[anything]"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer | null"),
        ({"allOf": [{"$ref": "#/$defs/A"}, {"$ref": "#/$defs/B"}]}, "A & B"),
        ({"enum": ["error", "warning"]}, "error | warning"),
        ({"const": 1}, "1"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"title": "Any"}, "anything"),
        (True, "anything"),
    ],
)
def test_a_schema_in_a_word(field: dict[str, object] | bool, word: str) -> None:
    assert type_word(field) == word


def test_a_field_says_whether_it_may_be_left_out() -> None:
    text = {"type": "string"}
    schema = {"properties": {"a": text, "b": text, "c": {"default": 1}}, "required": ["a"]}
    assert field_lines(schema) == ["a: string", "b: string (optional)", "c: anything = 1"]


CHILD = """
import pathlib, signal, sys
sys.path.insert(0, ".")
import setting

def stop(number, frame):
    print("stopped", flush=True)
    sys.exit(setting.CODE_AFTER_SIGNAL)

signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
print("started", setting.NAME, flush=True)
if setting.CODE is not None:
    sys.exit(setting.CODE)
signal.pause()
"""
PARENT = """
import pathlib, sys
from flockd.cli.reload import Reloader
sys.exit(Reloader([sys.executable, "-B", "child.py"], pathlib.Path.cwd()).run())
"""


class Reloading:
    """A process that runs `child.py` of the working directory, which prints what it is told to."""

    def __init__(self) -> None:
        Path("child.py").write_text(CHILD, "utf-8")
        self.edits = 0

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PARENT],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def edit(self, name: str, code: int | None = None, code_after_signal: int = 0) -> None:
        """Change what the child does. The file's time always moves, however coarse its clock."""
        self.edits += 1
        fields = {"NAME": name, "CODE": code, "CODE_AFTER_SIGNAL": code_after_signal}
        file = Path("setting.new")
        file.write_text("\n".join(f"{field} = {value!r}" for field, value in fields.items()), "utf-8")
        os.utime(file, (self.edits, self.edits))
        file.replace("setting.py")

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip()

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture
def reloading(flockd: Flockd) -> Iterator[Reloading]:
    reloading = Reloading()
    yield reloading
    reloading.close()


def test_a_change_starts_the_child_again(reloading: Reloading) -> None:
    reloading.edit("one")
    reloading.start()
    assert reloading.line() == "started one"
    reloading.edit("two")
    assert [reloading.line(), reloading.line()] == ["stopped", "started two"]


def test_a_child_that_fails_is_started_again_at_the_next_change(reloading: Reloading) -> None:
    reloading.edit("one", code=5)
    reloading.start()
    assert reloading.line() == "started one"
    assert reloading.process.stderr is not None
    said = [reloading.process.stderr.readline() for _ in range(2)]
    assert "for development" in said[0]
    assert said[1] == "It ended with 5; it starts again when a file changes.\n"
    reloading.edit("two", code=0)
    assert reloading.line() == "started two"
    assert reloading.process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_with_the_childs_code(reloading: Reloading, number: signal.Signals) -> None:
    reloading.edit("one", code_after_signal=4)
    reloading.start()
    assert reloading.line() == "started one"
    reloading.process.send_signal(number)
    assert reloading.line() == "stopped"
    assert reloading.process.wait(20) == 4


def test_reload_runs_the_same_command_without_the_option(
    flockd: Flockd, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []

    class Reloader:
        def __init__(self, command: list[str], root: Path, config_file: Path | None) -> None:
            commands.append(command)
            assert (root, config_file) == (Path.cwd(), Path("c.toml"))

        def run(self) -> int:
            return 6

    monkeypatch.setattr("flockd.cli.serve.Reloader", Reloader)
    options = [
        "desk:flock",
        "--config",
        "c.toml",
        "--port",
        "0",
        "--host",
        "::1",
        "--store",
        "sqlite:///b.db",
    ]
    assert flockd("serve", *options, "--reload").exit_code == 6
    given = ["desk:flock", "--config", "c.toml", "--host", "::1", "--port", "0", "--store", "sqlite:///b.db"]
    assert commands == [[sys.executable, "-m", "flockd", "serve", *given]]
