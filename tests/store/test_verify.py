"""Verification: nothing to say of what real verbs made, and a sentence for every way in which it can be wrong."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from flockd.board.batch import StartBatch
from flockd.board.control import Reset
from flockd.board.memory import Ask
from flockd.board.pause import PauseCorrelation
from flockd.board.start import Release
from flockd.board.timers import FireTimers, Firing, SyncTimers
from flockd.board.usage import BeginCall, EndCall
from flockd.domain.agent import Agent
from flockd.domain.budget import Budget, BudgetRule, Scope, Shortage
from flockd.domain.gathering import BatchSpec
from flockd.domain.identity import new_id
from flockd.domain.run import Run
from flockd.domain.schedule import Every
from flockd.domain.subscription import Subscription
from flockd.domain.timer import Publishes, Timer
from flockd.domain.usage import Call, Most, Usage
from flockd.domain.visibility import After, Private
from flockd.store.sqlite import Readers, StoreRefused, backup_path
from flockd.store.verify import CHECKS, SENTENCES_MAX, verify, verify_path

from .small_board import SmallBoard, agent

ID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


def live_through_everything(board: SmallBoard) -> None:
    """Every state of runs and correlations, joins, rounds, a redrive, cancels, tags and visibility."""
    first = board.publish("Code", tags=("a", "b"), name="review")
    board.finish(board.running("reviewer"), "Review", "Review", tags=("a",))
    board.now += 1000
    board.publish("Code", correlation_id=first.correlation_id, visibility=Private(agents=("reviewer",)))
    board.fail(board.running("reviewer"))
    board.publish("Left")
    left = board.publish("Left")
    board.publish("Right", correlation_id=left.correlation_id)
    board.finish(board.running("joiner"))
    dead = board.publish("Code")
    run = board.running("reviewer")
    board.fail(run)
    board.retry_run(run)
    board.finish(board.running("reviewer"), "Review")
    assert dead.round == 1
    board.publish("Slow")
    board.fail(board.running("slow"))
    board.publish("Slow", dialect="jobs", partition_key="p")
    board.publish("Slow")
    cancelled = board.publish("Slow")
    board.cancel_correlation(cancelled.correlation_id)
    board.publish("Code")
    board.cancel_run(board.running("reviewer"))
    one = [("Code", b"{}", 1)]
    ended, open_batch, over = new_id(), new_id(), new_id()
    board.do(StartBatch(ended, "reviewer", [one, "refused"], 1, b"{}"))
    board.finish(board.running("reviewer"))
    board.do(StartBatch(over, "reviewer", [one, one], 1, b"{}"))
    board.cancel_correlation(over)
    board.do(StartBatch(open_batch, "reviewer", [one, one, one, one], 2, b"{}"))
    board.finish(board.running("reviewer"))
    board.pool("Gathered", "gatherer", "1")
    call_models(board, board.running("reviewer"))
    board.publish("Idle", visibility=After(ttl=60))
    held_back = board.publish("Slow")
    board.do(PauseCorrelation(held_back.correlation_id, True))
    asking = board.running("reviewer")
    board.do(Ask(asking.id, asking.correlation_id, asking.fence, "key", "Really?", b"{}", None))
    firing = Firing(Timer("tick", Every("5m"), Publishes("Code")), "It cannot be published.")
    board.do(SyncTimers([firing], ()))
    board.now += 300_000
    assert board.do(FireTimers([firing])) == ["tick"]


def call_models(board: SmallBoard, run: Run) -> None:
    """A call that is over, one that is not, and one that fits into no budget."""
    held, most = (run.id, run.correlation_id, run.fence), Most(10, 10, 10)
    ended, still_open, refused = new_id(), new_id(), new_id()
    board.do(BeginCall(*held, ended, "m", most))
    call = Call(ended, run.id, run.correlation_id, run.agent, run.tenant, "m", most, board.now)
    board.do(EndCall(*held, call, True, Usage(1, 5, 4, 3, 2), 0))
    assert board.do(BeginCall(*held, still_open, "m", most)) is True
    assert isinstance(board.do(BeginCall(*held, refused, "m", most)), Shortage)


BUDGETS = [
    BudgetRule(
        scope, None, Budget(requests=2 if scope == "run" else 100, per="day" if scope == "agent" else None)
    )
    for scope in Scope
]


@pytest.fixture
def board(tmp_path: Path) -> Iterator[SmallBoard]:
    made = SmallBoard(
        tmp_path / "board.db",
        agent("reviewer", "Code"),
        agent("joiner", "Left", "Right"),
        Agent("gatherer", Subscription(("Gathered",), gathering=BatchSpec(3, "1h")), ()),
        agent("slow", "Slow", retries=1, max_concurrency=1),
        budgets=BUDGETS,
    )
    live_through_everything(made)
    yield made
    made.close()


async def test_what_verbs_made_is_right(board: SmallBoard) -> None:
    states = {run.state.value for run in board.runs()}
    assert states == {"ready", "running", "waiting", "completed", "dead", "cancelled"}
    async with Readers(board.path, connections=1) as readers:
        assert await verify(readers) == []


def test_a_backup_is_right(board: SmallBoard, tmp_path: Path) -> None:
    backup_path(board.path, tmp_path / "copy.db")
    assert verify_path(tmp_path / "copy.db") == []


def test_an_emptied_board_is_right(board: SmallBoard) -> None:
    board.do(Reset())
    assert verify_path(board.path) == []
    board.do(Release("slow"))  # its engine has ended, too
    live_through_everything(board)
    assert verify_path(board.path) == []


WRONG = [
    (
        "DELETE FROM log",
        "The log has 0 positions instead of one.",
    ),
    (
        "UPDATE log SET next_seq = 3",
        "The event of seq .* is at or after the log's next seq, 3.",
    ),
    (
        "UPDATE log SET next_run = 1",
        "The run of number .* is at or after the next one, 1.",
    ),
    (
        "UPDATE events SET at = at + 10000 WHERE seq = 3",
        "The time of event 4, .*, is before",
    ),
    (
        "UPDATE counters SET n = n + 1 WHERE kind = 'artifact' AND a = 'Review'",
        "The count of Public artifacts of type Review by reviewer is 4, but there are 3.",
    ),
    (
        "DELETE FROM counters WHERE kind = 'tag' AND a = 'a'",
        "The count of artifacts with the tag a is 0, but there are 3.",
    ),
    (
        "UPDATE counters SET n = 9 WHERE kind = 'run' AND a = 'slow' AND b = 'ready'",
        "The count of ready runs of slow is 9, but there are",
    ),
    (
        "UPDATE counters SET n = 7 WHERE kind = 'correlation' AND c = 'review'",
        "correlations of dialect native and name 'review' is 7, but there are",
    ),
    (
        "UPDATE counters SET n = n - 1 WHERE kind = 'consumed' AND a = 'joiner' AND b = 'Left'",
        "The count of Left artifacts that joiner consumed is 0, but there are 1.",
    ),
    (
        "UPDATE counters SET n = n + 1 WHERE kind = 'execution' AND a = 'joiner'",
        "The count of runs that joiner completed in the hour 2026-11-21T00:00:00Z is 2, but there are 1.",
    ),
    (
        "UPDATE counters SET n = 1 WHERE kind = 'alltime'",
        "The count of artifacts of all time is 1, but .* are stored.",
    ),
    (
        "UPDATE correlations SET open = open + 1",
        "Correlation ID counts 2 runs, 1 open and 1 dead, but has 2, 0 and 1.",
    ),
    (
        "UPDATE correlations SET runs = 9 WHERE seq = 1",
        "Correlation ID counts 9 runs, 0 open and 1 dead, but has 2, 0 and 1.",
    ),
    (
        "UPDATE correlations SET error_count = 3 WHERE seq = 1",
        "Correlation ID counts 2 runs, 0 open and 3 dead, but has",
    ),
    (
        "UPDATE correlations SET artifact_count = 3 WHERE seq = 1",
        "Correlation ID counts 3 artifacts, 0 of agents in its latest round, but has 4 and 0.",
    ),
    (
        "UPDATE correlations SET round_outputs = 1 WHERE seq = 1",
        "Correlation ID counts 4 artifacts, 1 of agents in its latest round, but has 4 and 0.",
    ),
    (
        "UPDATE correlations SET round_errors = 2 WHERE seq = 1",
        "Correlation ID counts 2 errors in its latest round, but 1 of its runs died in it.",
    ),
    (
        "UPDATE correlations SET state = 'active' WHERE seq = 1",
        "Correlation ID is active with 0 open runs and an end time.",
    ),
    (
        "UPDATE correlations SET completed_at = NULL WHERE seq = 1",
        "Correlation ID is failed with 0 open runs and no end time.",
    ),
    (
        "UPDATE correlations SET state = 'paused' WHERE seq = 1",
        "Correlation ID is paused with 0 open runs",
    ),
    (
        "UPDATE correlations SET state = 'completed' WHERE seq = 1",
        "Correlation ID is completed with 0 outputs, 1 errors, 0 cancelled runs and the reason none.",
    ),
    (
        "DELETE FROM events WHERE kind = 'correlation.failed'",
        "Round 2 of correlation ID is failed, but the log has 0 events that say so",
    ),
    (
        "UPDATE events SET data = json_set(data, '$.round', 7) WHERE kind = 'correlation.failed'",
        "Round 2 of correlation ID is failed, but the log has 0 events that say so",
    ),
    (
        "DELETE FROM events WHERE seq = (SELECT round_seq FROM correlations WHERE seq = 1)",
        "The log does not have the beginning of round 2 of correlation ID.",
    ),
    (
        "UPDATE slots SET type = 'Code'",
        "Correlation ID holds the artifact of seq .* for joiner, but there is no such artifact.",
    ),
    (
        "UPDATE artifacts SET correlation = zeroblob(16) WHERE seq = 2",
        "Artifact ID is in correlation 0{8}-.*, which does not exist.",
    ),
    (
        "UPDATE artifacts SET run = zeroblob(16) WHERE run IS NOT NULL",
        "Artifact ID was produced by run 0{8}-.*, but is not among the outputs of a completed run",
    ),
    (
        "UPDATE runs SET outputs = '[]'",
        "Artifact ID was produced by run ID, but is not among the outputs",
    ),
    (
        "DELETE FROM events WHERE seq = 2",
        "Artifact ID has no artifact.published event of its seq 2.",
    ),
    (
        "DELETE FROM artifacts WHERE seq = 2",
        "Event 2 carries an artifact that is not on the board at its seq.",
    ),
    (
        "UPDATE events SET artifact = 2 WHERE kind = 'run.started'",
        "Event .* carries an artifact that is not on the board",
    ),
    (
        "DELETE FROM artifact_tags WHERE seq = 2 AND tag = 'b'",
        "The artifact of seq 2 has the tag b, but is not found by it.",
    ),
    (
        "INSERT INTO artifact_tags VALUES ('default', 'z', 2)",
        "The artifact of seq 2 is found by the tag z, but does not have it.",
    ),
    (
        "UPDATE artifacts SET created_at = created_at + 3600000 WHERE seq = 2",
        "The artifact of seq 2 was created after that of seq .*, which goes back in time.",
    ),
    (
        "UPDATE runs SET reason = NULL WHERE state = 'waiting'",
        "Run ID is waiting with the reason none and the due time [0-9]+.",
    ),
    (
        "UPDATE runs SET due_at = 7 WHERE state = 'ready'",
        "Run ID is ready with the reason none and the due time 7.",
    ),
    (
        "UPDATE runs SET state = 'failed' WHERE state = 'dead'",
        "Run ID is failed, but its times",
    ),
    (
        "UPDATE runs SET completed_at = NULL WHERE state = 'dead'",
        "Run ID is dead, but its times",
    ),
    (
        "UPDATE runs SET fence = 0 WHERE state = 'running'",
        "Run ID is running, but its times, its fence",
    ),
    (
        "UPDATE runs SET error = NULL WHERE state = 'dead'",
        "Run ID is dead, but its times, its fence, its attempts or its error",
    ),
    (
        "UPDATE runs SET first_attempt = 9 WHERE state = 'ready'",
        "Run ID is ready, but its times",
    ),
    (
        "UPDATE runs SET correlation = zeroblob(16) WHERE ord = 1",
        "Run ID is in correlation 0{8}-.*, which does not exist.",
    ),
    (
        """UPDATE runs SET inputs = '["00000000-0000-7000-8000-000000000000"]' WHERE state = 'ready'""",
        "Artifact 00000000-0000-7000-8000-000000000000 is an input of a run, but is not on the board.",
    ),
    (
        "UPDATE consumptions SET consumer = 'slow'",
        "The artifact of seq 2 is consumed by run ID, but is no input of a completed run",
    ),
    (
        "UPDATE consumptions SET consumed_at = 1",
        "The artifact of seq 2 is consumed by run ID, but",
    ),
    (
        "UPDATE consumptions SET run = zeroblob(16) WHERE artifact = 2",
        "The artifact of seq 2 is consumed by run 0{8}-.*, but",
    ),
    (
        "DELETE FROM consumptions WHERE artifact = 2",
        "Run ID completed with 1 inputs, but 0 are recorded as consumed.",
    ),
    (
        """UPDATE runs SET outputs = '["a","b","c"]' WHERE ord = 1""",
        "Run ID names 3 outputs, but 2 are on the board.",
    ),
    (
        "DELETE FROM events WHERE kind = 'run.completed'",
        "Run ID is completed, but the log has 0 run.completed events of it.",
    ),
    (
        "UPDATE events SET kind = 'run.completed' WHERE kind = 'run.failed'",
        "Run ID is dead, but the log has 1 run.completed events of it.",
    ),
    (
        "UPDATE events SET run = zeroblob(16) WHERE kind = 'run.started'",
        "Event .* \\(run.started\\) is of run 0{8}-.*, which does not exist.",
    ),
    (
        "UPDATE batches SET failed = failed + 1",
        "Batch ID counts 2 items, 2 ended and 2 failed, but has 2, 2 and 1",
    ),
    ("UPDATE batches SET completed = 0", "Batch ID counts 4 items, 0 ended and 0 failed, but has 4, 1 and 0"),
    (
        "UPDATE batch_items SET correlation = NULL WHERE state = 'running'",
        "Item [12] of batch ID is running, but its correlation is missing",
    ),
    ("UPDATE batches SET width = 1 WHERE width = 2", "Batch ID takes 1 items at a time, but 2 are in flight"),
    (
        "UPDATE batch_items SET state = 'completed' WHERE state = 'running'",
        "Batch ID is active, which its items do not bear out",
    ),
    (
        "UPDATE pools SET seq = seq + 1000",
        "A pool of gatherer holds the artifact of seq [0-9]+ of correlation ID",
    ),
    ("DELETE FROM pools", "Correlation ID counts 0 runs, 1 open and 0 dead, but has 0, 0 and 0"),
    (
        "UPDATE hidden SET seq = seq + 1000",
        "The artifact of seq [0-9]+ of correlation ID waits to become visible, but there is no such artifact",
    ),
    ("UPDATE runs SET paused = 0", "Run ID is not paused, which its correlation does not bear out"),
    (
        "UPDATE timers SET due_at = NULL",
        "Timer tick is planned for [0-9]+ and due at none, and has fired 1 times",
    ),
    ("UPDATE timers SET fired = 5", "Timer tick counts 5 firings, but the log has 1."),
    ("UPDATE timers SET skipped = 2", "Timer tick counts 2 skipped firings, but the log has 0."),
    (
        "UPDATE correlations SET inherited_runs = 1 WHERE causes IS NULL",
        "Correlation .* inherits 1 runs, but nothing caused it.",
    ),
    (
        "UPDATE correlations SET name = 'tock' WHERE name = 'tick'",
        "Event [0-9]+ says that timer tick fired, but no correlation of its name began with that.",
    ),
    ("UPDATE questions SET state = 'answered'", "Run ID waits for an answer, but has no open question"),
    (
        "UPDATE runs SET reason = 'retry' WHERE reason = 'question'",
        "Question ID is open, but its run ID is waiting",
    ),
    ("UPDATE calls SET ms = NULL", "Call ID is neither open nor settled."),
    ("UPDATE calls SET cost_most = -1 WHERE requests > 0", "Call ID took less than nothing."),
    (
        "UPDATE calls SET estimated = 1 WHERE requests > 0",
        "Call ID was charged what it might take at most, but other figures.",
    ),
    (
        "UPDATE ledgers SET ends_at = ends_at + 1 WHERE scope = 'agent'",
        "The ledger of agent reviewer from 1795219200000 on ends at 1795305600001, which is no end of its window.",
    ),
    (
        "UPDATE ledgers SET ends_at = 1 WHERE scope = 'run'",
        "The ledger of run ID from 0 on ends at 1, which is no end of its window.",
    ),
    (
        "INSERT INTO ledger_rules SELECT 'more' UNION ALL SELECT 'still more'",
        "The rules under which ledgers are kept are on record 2 times.",
    ),
    (
        "UPDATE usage SET unpriced = 1",
        "What calls of m by reviewer took is not what their sum says.",
    ),
    (
        "UPDATE usage_hours SET estimated = 1",
        "What calls of m by reviewer took in the hour from 1795219200000 on is not what their sum says.",
    ),
    ("UPDATE usage SET cost = cost + 1", "What calls of m by reviewer took is not what their sum says."),
    (
        "UPDATE usage_hours SET hour = hour - 3600000",
        "What calls of m by reviewer took in the hour from 1795219200000 on is not what their sum says.",
    ),
    (
        "UPDATE runs SET usage = NULL WHERE usage IS NOT NULL",
        r"Run ID says that its calls took none, but they took \[1,5,4,3,2,0,0\]\.",
    ),
    (
        "UPDATE correlations SET usage = '[1,5,4,3,2,0,1]' WHERE usage IS NOT NULL",
        r"Correlation ID says that its calls took \[1,5,4,3,2,0,1\], but they took \[1,5,4,3,2,0,0\]\.",
    ),
    (
        "UPDATE ledgers SET reserved_tokens = 0 WHERE scope = 'run'",
        r"The ledger of run ID from 0 on says \[1,9,3,1,0,10\], but its calls come to \[1,9,3,1,20,10\]\.",
    ),
    (
        "UPDATE ledgers SET spent_cost = 4 WHERE scope = 'correlation'",
        r"The ledger of correlation ID from 0 on says \[1,9,4,",
    ),
    (
        "UPDATE ledgers SET spent_requests = 0 WHERE scope = 'agent'",
        r"The ledger of agent reviewer from 1795219200000 on says \[0,9,3,",
    ),
    (
        "DELETE FROM calls WHERE requests IS NULL",
        r"The ledger of tenant default from 0 on says \[1,9,3,1,20,10\], but its calls come to \[1,9,3,0,0,0\]\.",
    ),
    (
        "UPDATE counters SET n = 3 WHERE kind = 'refused'",
        "The count of calls that did not fit into the budget of a run is 3, but there are 1.",
    ),
    (
        "DELETE FROM runs WHERE ord = 1",
        "Event 2 says that it woke run ID, which does not exist.",
    ),
]
"""A change to the tables, and what is said of it (a pattern; ID is any id)."""


def pattern(sentence: str) -> str:
    return sentence.replace("ID", ID)


@pytest.mark.parametrize(("change", "sentence"), WRONG)
def test_each_difference_is_told(board: SmallBoard, change: str, sentence: str) -> None:
    assert board.connection.execute(change).rowcount > 0
    found = verify_path(board.path)
    assert [one for one in found if re.search(pattern(sentence), one)] != [], "\n".join(found)


def test_every_check_has_been_provoked(board: SmallBoard) -> None:
    provoked = set()
    for change, _ in WRONG:
        board.connection.execute("BEGIN")
        board.connection.execute(change)
        for check in CHECKS:
            if board.connection.execute(check.sql).fetchone() is not None:
                provoked.add(check.sentence)
        board.connection.execute("ROLLBACK")
    assert {check.sentence for check in CHECKS} - provoked == set()


def test_many_differences_are_counted(board: SmallBoard) -> None:
    for _ in range(SENTENCES_MAX + 50):
        board.publish("Idea")
    board.connection.execute("DELETE FROM events WHERE kind = 'artifact.published'")
    found = verify_path(board.path)
    assert len(found) == SENTENCES_MAX + 1
    assert re.fullmatch(r"And [0-9]+ more differences\.", found[-1])


def test_a_damaged_file_is_told(board: SmallBoard) -> None:
    board.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    page_bytes, root = board.connection.execute(
        "SELECT (SELECT page_size FROM pragma_page_size), rootpage FROM sqlite_master WHERE name = 'artifacts_by_type'"
    ).fetchone()
    copy = board.path.with_name("damaged.db")
    content = bytearray(board.path.read_bytes())
    content[(root - 1) * page_bytes : root * page_bytes] = b"\xff" * page_bytes
    copy.write_bytes(content)
    found = verify_path(copy)
    assert found[0].startswith("The file is damaged: ")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="cannot be opened"):
        verify_path(tmp_path / "none.db")


def test_verifying_changes_nothing(board: SmallBoard) -> None:
    with closing(sqlite3.connect(board.path)) as watcher:
        before = watcher.execute("PRAGMA data_version").fetchone()
        assert verify_path(board.path) == []
        assert watcher.execute("PRAGMA data_version").fetchone() == before
