"""Verification: every maintained count and state is worked out anew; a sentence for each difference.

One read transaction for all of it, so that a daemon may go on writing. Each check is one statement over whole
tables.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from flockd.domain.identity import id_text
from flockd.store.check import Check
from flockd.store.sqlite import Readers, open_read_only
from flockd.store.verify_accounts import ACCOUNTS

SENTENCES_MAX = 100
"""How many differences are told one by one; the rest is counted."""


def _recount(kind: str, real: str, sentence: str) -> Check:
    """A kind of counter against `real`: a SELECT of tenant, a, b, c and how many there are."""
    return Check(
        "SELECT a, b, c, sum(stored), sum(found) FROM ("
        f"SELECT tenant, a, b, c, n AS stored, 0 AS found FROM counters WHERE kind = '{kind}' "
        f"UNION ALL SELECT tenant, a, b, c, 0, found FROM ({real})) "
        "GROUP BY tenant, a, b, c HAVING sum(stored) <> sum(found)",
        sentence + " is {3}, but there are {4}.",
    )


COUNTERS = (
    _recount(
        "artifact",
        "SELECT tenant, type AS a, producer AS b, visibility AS c, count(*) AS found FROM artifacts GROUP "
        "BY 1, 2, 3, 4",
        "The count of {2} artifacts of type {0} by {1}",
    ),
    _recount(
        "tag",
        "SELECT tenant, tag AS a, '' AS b, '' AS c, count(*) AS found FROM artifact_tags GROUP BY 1, 2",
        "The count of artifacts with the tag {0}",
    ),
    _recount(
        "run",
        "SELECT tenant, agent AS a, state AS b, '' AS c, count(*) AS found FROM runs GROUP BY 1, 2, 3",
        "The count of {1} runs of {0}",
    ),
    _recount(
        "correlation",
        "SELECT tenant, state AS a, dialect AS b, name AS c, count(*) AS found FROM correlations GROUP BY "
        "1, 2, 3, 4",
        "The count of {0} correlations of dialect {1} and name {2!r}",
    ),
    _recount(
        "consumed",
        "SELECT c.tenant AS tenant, c.consumer AS a, a.type AS b, '' AS c, count(*) AS found "
        "FROM consumptions c CROSS JOIN artifacts a ON a.seq = c.artifact GROUP BY 1, 2, 3",
        "The count of {1} artifacts that {0} consumed",
    ),
    _recount(
        "execution",
        "SELECT tenant, agent AS a, strftime('%Y-%m-%dT%H:00:00Z', completed_at / 1000, 'unixepoch') AS b, "
        "'' AS c, count(*) AS found FROM runs WHERE state = 'completed' GROUP BY 1, 2, 3",
        "The count of runs that {0} completed in the hour {1}",
    ),
    _recount(
        "refused",
        "SELECT tenant, json_extract(data, '$.scope') AS a, '' AS b, '' AS c, count(*) AS found FROM events "
        "WHERE kind = 'budget.exceeded' GROUP BY 1, 2",
        "The count of calls that did not fit into the budget of a {0}",
    ),
    Check(
        "SELECT what, ifnull(n, 0), found FROM (SELECT tenant, 'artifacts' AS what, count(*) AS found FROM "
        "artifacts GROUP BY tenant UNION ALL SELECT tenant, 'executions', count(*) FROM runs WHERE state = "
        "'completed' GROUP BY tenant) AS real LEFT JOIN counters ON counters.tenant = real.tenant AND kind "
        "= 'alltime' AND a = what AND b = '' AND c = '' WHERE ifnull(n, 0) < found",
        "The count of {0} of all time is {1}, but {2} are stored.",
    ),
)

CORRELATIONS = (
    Check(
        "SELECT id, inherited_runs FROM correlations WHERE inherited_runs < 0 OR inherited_runs > 0 AND causes IS NULL",
        "Correlation {0} inherits {1} runs, but nothing caused it.",
    ),
    Check(
        "SELECT id, c.runs, ifnull(r.runs, 0), c.open, ifnull(r.open, 0) + c.held_open, c.error_count, "
        "ifnull(r.dead, 0) FROM (SELECT *, (state = 'active' AND round = 1 AND EXISTS (SELECT 1 FROM batches b "
        "WHERE b.id = correlations.id AND b.completed < b.total)) + "
        "(SELECT count(*) FROM pools p WHERE p.correlation = correlations.id) + "
        "(SELECT count(*) FROM hidden h WHERE h.correlation = correlations.id) AS held_open FROM correlations) AS c "
        "LEFT JOIN (SELECT tenant, correlation, count(*) AS runs, "
        "sum(state IN ('ready', 'running', 'waiting')) AS open, sum(state = 'dead') AS dead "
        "FROM runs GROUP BY tenant, correlation) AS r ON r.correlation = c.id AND r.tenant = c.tenant "
        "WHERE c.runs <> ifnull(r.runs, 0) OR c.open <> ifnull(r.open, 0) + c.held_open OR c.error_count <> "
        "ifnull(r.dead, 0)",
        "Correlation {0} counts {1} runs, {3} open and {5} dead, but has {2}, {4} and {6}.",
    ),
    Check(
        "SELECT id, artifact_count, artifacts, round_outputs, outputs FROM (SELECT c.id, artifact_count, "
        "count(a.seq) AS artifacts, round_outputs, total(a.run IS NOT NULL AND a.seq > c.round_seq) AS "
        "outputs FROM correlations c LEFT JOIN artifacts a ON a.tenant = c.tenant AND a.correlation = c.id "
        "GROUP BY c.seq) WHERE artifact_count <> artifacts OR round_outputs <> outputs",
        "Correlation {0} counts {1} artifacts, {3} of agents in its latest round, but has {2} and {4:.0f}.",
    ),
    Check(
        "SELECT id, round_errors, died FROM (SELECT id, round_errors, (SELECT count(*) FROM runs r "
        "WHERE r.tenant = c.tenant AND r.correlation = c.id AND r.state = 'dead' AND r.ended_round = c.round) "
        "AS died FROM correlations c) WHERE round_errors <> died",
        "Correlation {0} counts {1} errors in its latest round, but {2} of its runs died in it.",
    ),
    Check(
        "SELECT id, state, open, CASE WHEN completed_at IS NULL THEN 'no' ELSE 'an' END FROM correlations "
        "WHERE state NOT IN ('active', 'completed', 'failed', 'cancelled') "
        "OR (state = 'active') <> (open > 0) OR (state = 'active') <> (completed_at IS NULL)",
        "Correlation {0} is {1} with {2} open runs and {3} end time.",
    ),
    Check(
        "SELECT id, state, round_outputs, round_errors, round_cancelled, reason FROM correlations "
        "WHERE state IN ('completed', 'failed') AND (state = 'failed') <> (reason IS NOT NULL "
        "OR (round_errors + round_cancelled > 0 AND round_outputs = 0))",
        "Correlation {0} is {1} with {2} outputs, {3} errors, {4} cancelled runs and the reason {5}.",
    ),
    Check(
        "SELECT id, round, state, ended FROM (SELECT id, round, state, (SELECT count(*) FROM events e "
        "WHERE e.correlation = c.id AND e.seq > c.round_seq AND e.kind = 'correlation.' || c.state "
        "AND json_extract(e.data, '$.round') = c.round) AS ended, (SELECT count(*) FROM events e "
        "WHERE e.correlation = c.id AND e.seq > c.round_seq "
        "AND e.kind IN ('correlation.completed', 'correlation.failed', 'correlation.cancelled')) AS endings "
        "FROM correlations c, log WHERE c.round_seq >= log.complete_from) "
        "WHERE ended <> (state <> 'active') OR endings <> ended",
        "Round {1} of correlation {0} is {2}, but the log has {3} events that say so, or others that it "
        "ended otherwise.",
    ),
    Check(
        "SELECT c.id, c.round FROM correlations c CROSS JOIN log LEFT JOIN events e ON e.seq = c.round_seq "
        "AND e.correlation = c.id AND e.kind = 'correlation.started' "
        "WHERE c.round_seq >= log.complete_from AND e.seq IS NULL",
        "The log does not have the beginning of round {1} of correlation {0}.",
    ),
    Check(
        "SELECT s.correlation, s.agent, s.seq FROM slots s LEFT JOIN artifacts a ON a.seq = s.seq "
        "AND a.id = s.artifact AND a.type = s.type AND a.correlation = s.correlation WHERE a.seq IS NULL",
        "Correlation {0} holds the artifact of seq {2} for {1}, but there is no such artifact.",
    ),
)

BATCHES = (
    Check(
        "SELECT b.id, b.total, count(i.item), b.completed, total(i.state IN ('completed', 'failed')), "
        "b.failed, total(i.state = 'failed') FROM batches b LEFT JOIN batch_items i ON i.batch = b.id "
        "GROUP BY b.id HAVING b.total <> count(i.item) "
        "OR b.completed <> total(i.state IN ('completed', 'failed')) OR b.failed <> total(i.state = 'failed')",
        "Batch {0} counts {1} items, {3} ended and {5} failed, but has {2}, {4:.0f} and {6:.0f}.",
    ),
    Check(
        "SELECT i.item, i.batch, i.state, ifnull(c.state, 'missing') FROM batch_items i LEFT JOIN correlations c "
        "ON c.id = i.correlation AND c.batch = i.batch AND c.batch_item = i.item WHERE CASE i.state "
        "WHEN 'waiting' THEN i.correlation IS NOT NULL OR i.inputs IS NULL "
        "WHEN 'running' THEN c.state IS NOT 'active' "
        "WHEN 'completed' THEN c.seq IS NULL "
        "ELSE (i.error IS NULL) = (c.seq IS NULL) END",
        "Item {0} of batch {1} is {2}, but its correlation is {3}.",
    ),
    Check(
        "SELECT b.id, b.width, count(*) FROM batch_items i CROSS JOIN batches b ON b.id = i.batch "
        "WHERE i.state = 'running' GROUP BY b.id HAVING count(*) > b.width",
        "Batch {0} takes {1} items at a time, but {2} are in flight.",
    ),
    Check(
        "SELECT id, state FROM (SELECT b.id AS id, ifnull(c.state, 'missing') AS state, c.reason AS reason, "
        "c.round AS round, b.completed >= b.total AS is_over, EXISTS (SELECT 1 FROM batch_items i WHERE i.batch = b.id "
        "AND i.state = 'running') AS works FROM batches b LEFT JOIN correlations c ON c.id = b.id) "
        "WHERE state = 'missing' OR (is_over AND works) "
        "OR (NOT is_over AND CASE WHEN round > 1 THEN works ELSE state = 'completed' "
        "OR (state = 'failed' AND reason IS NULL) OR (state = 'active') <> works END)",
        "Batch {0} is {1}, which its items do not bear out.",
    ),
)

POOLS = (
    Check(
        "SELECT p.correlation, p.agent, p.seq FROM pools p LEFT JOIN artifacts a ON a.seq = p.seq "
        "AND a.id = p.artifact AND a.type = p.type AND a.correlation = p.correlation AND a.tenant = p.tenant "
        "WHERE a.seq IS NULL",
        "A pool of {1} holds the artifact of seq {2} of correlation {0}, but there is no such artifact.",
    ),
)

HIDDEN = (
    Check(
        "SELECT h.seq, h.correlation FROM hidden h LEFT JOIN artifacts a ON a.seq = h.seq "
        "AND a.correlation = h.correlation AND a.visibility = 'After' WHERE a.seq IS NULL",
        "The artifact of seq {0} of correlation {1} waits to become visible, but there is no such artifact.",
    ),
)

QUESTIONS = (
    Check(
        "SELECT q.id, q.state, r.id, ifnull(r.state, 'missing') FROM questions q LEFT JOIN runs r ON r.id = q.run "
        "WHERE (q.state = 'open') <> ifnull(r.state = 'waiting' AND r.reason = 'question' AND q.seq = "
        "(SELECT max(seq) FROM questions newest WHERE newest.run = q.run), q.state <> 'open')",
        "Question {0} is {1}, but its run {2} is {3}.",
    ),
    Check(
        "SELECT r.id FROM runs r WHERE r.state = 'waiting' AND r.reason = 'question' AND NOT EXISTS "
        "(SELECT 1 FROM questions q WHERE q.run = r.id AND q.state = 'open')",
        "Run {0} waits for an answer, but has no open question.",
    ),
)

TIMERS = (
    Check(
        "SELECT t.name, t.skipped, count(e.seq) FROM timers t CROSS JOIN log LEFT JOIN (SELECT seq, "
        "json_extract(data, '$.timer') AS timer FROM events WHERE kind = 'timer.skipped') AS e "
        "ON e.timer = t.name AND e.seq >= t.since WHERE t.since >= log.complete_from GROUP BY t.name "
        "HAVING t.skipped <> count(e.seq)",
        "Timer {0} counts {1} skipped firings, but the log has {2}.",
    ),
    Check(
        "SELECT name, planned_at, due_at, fired, last_fired_at FROM timers WHERE (planned_at IS NULL) <> "
        "(due_at IS NULL) OR due_at < planned_at OR fired < 0 OR (fired > 0) <> (last_fired_at IS NOT NULL)",
        "Timer {0} is planned for {1} and due at {2}, and has fired {3} times, the last time at {4}, which does "
        "not fit.",
    ),
    Check(
        "SELECT t.name, t.fired, count(e.seq) FROM timers t CROSS JOIN log LEFT JOIN (SELECT seq, "
        "json_extract(data, '$.timer') AS timer FROM events WHERE kind = 'timer.fired') AS e "
        "ON e.timer = t.name AND e.seq >= t.since WHERE t.since >= log.complete_from GROUP BY t.name "
        "HAVING t.fired <> count(e.seq)",
        "Timer {0} counts {1} firings, but the log has {2}.",
    ),
    Check(
        "SELECT e.seq, json_extract(e.data, '$.timer') FROM events e LEFT JOIN correlations c "
        "ON c.id = e.correlation AND c.seq = e.seq - 1 AND c.name = json_extract(e.data, '$.timer') "
        "WHERE e.kind = 'timer.fired' AND c.seq IS NULL",
        "Event {0} says that timer {1} fired, but no correlation of its name began with that.",
    ),
)

ARTIFACTS = (
    Check(
        "SELECT a.id, a.correlation FROM artifacts a LEFT JOIN correlations c ON c.id = a.correlation "
        "AND c.tenant = a.tenant WHERE c.seq IS NULL",
        "Artifact {0} is in correlation {1}, which does not exist.",
    ),
    Check(
        "SELECT a.id, a.run FROM artifacts a LEFT JOIN runs r ON r.id = a.run "
        "WHERE a.run IS NOT NULL AND (r.ord IS NULL OR r.state <> 'completed' "
        "OR NOT instr(replace(r.outputs, '-', ''), lower(hex(a.id))))",
        "Artifact {0} was produced by run {1}, but is not among the outputs of a completed run of this id.",
    ),
    Check(
        "SELECT a.id, a.seq FROM artifacts a CROSS JOIN log LEFT JOIN events e ON e.seq = a.seq "
        "AND e.kind = 'artifact.published' AND e.artifact = a.seq AND e.correlation = a.correlation "
        "WHERE a.seq >= log.complete_from AND e.seq IS NULL",
        "Artifact {0} has no artifact.published event of its seq {1}.",
    ),
    Check(
        "SELECT e.seq FROM events e LEFT JOIN artifacts a ON a.seq = e.artifact "
        "WHERE (e.kind IN ('artifact.published', 'artifact.visible') OR e.artifact IS NOT NULL) AND (a.seq IS NULL "
        "OR CASE e.kind WHEN 'artifact.published' THEN e.seq <> a.seq WHEN 'artifact.visible' THEN e.seq <= a.seq "
        "OR a.was_hidden IS NULL ELSE 1 END)",
        "Event {0} carries an artifact that is not on the board at its seq.",
    ),
    Check(
        "SELECT seq, value FROM artifacts CROSS JOIN json_each(tags) WHERE tags IS NOT NULL "
        "EXCEPT SELECT seq, tag FROM artifact_tags",
        "The artifact of seq {0} has the tag {1}, but is not found by it.",
    ),
    Check(
        "SELECT seq, tag FROM artifact_tags EXCEPT "
        "SELECT seq, value FROM artifacts CROSS JOIN json_each(tags) WHERE tags IS NOT NULL",
        "The artifact of seq {0} is found by the tag {1}, but does not have it.",
    ),
    Check(
        "SELECT seq, before FROM (SELECT seq, lag(seq) OVER (PARTITION BY tenant ORDER BY created_at, seq) "
        "AS before FROM artifacts INDEXED BY artifacts_by_moment) WHERE before > seq",
        "The artifact of seq {0} was created after that of seq {1}, which goes back in time.",
    ),
)

RUNS = (
    Check(
        "SELECT r.id, CASE r.paused WHEN 1 THEN 'is' ELSE 'is not' END FROM runs r JOIN correlations c "
        "ON c.id = r.correlation WHERE r.paused <> (r.state = 'ready' AND c.paused)",
        "Run {0} {1} paused, which its correlation does not bear out.",
    ),
    Check(
        "SELECT id, state, reason, due_at FROM runs WHERE (state = 'waiting') <> (reason IS NOT NULL) "
        "OR (state <> 'waiting' AND due_at IS NOT NULL) "
        "OR (state = 'waiting' AND due_at IS NULL AND reason <> 'question')",
        "Run {0} is {1} with the reason {2} and the due time {3}.",
    ),
    Check(
        "SELECT id, state FROM runs WHERE state NOT IN ('ready', 'running', 'waiting', 'completed', "
        "'dead', 'cancelled') OR (state IN ('ready', 'running', 'waiting')) <> (completed_at IS NULL) OR "
        "(state IN ('running', 'completed') AND (started_at IS NULL OR fence < 1)) OR (state = 'dead' AND "
        "error IS NULL) OR first_attempt > attempt OR first_attempt < 1",
        "Run {0} is {1}, but its times, its fence, its attempts or its error do not fit that.",
    ),
    Check(
        "SELECT r.id, r.correlation FROM runs r LEFT JOIN correlations c ON c.id = r.correlation "
        "AND c.tenant = r.tenant WHERE c.seq IS NULL",
        "Run {0} is in correlation {1}, which does not exist.",
    ),
    Check(
        "SELECT value FROM (SELECT upper(replace(value, '-', '')) AS digits, value "
        "FROM runs CROSS JOIN json_each(inputs)) WHERE digits NOT IN (SELECT hex(id) FROM artifacts) GROUP "
        "BY value",
        "Artifact {0} is an input of a run, but is not on the board.",
    ),
    Check(
        "SELECT c.run, c.artifact FROM consumptions c LEFT JOIN runs r ON r.id = c.run LEFT JOIN artifacts "
        "a ON a.seq = c.artifact WHERE r.ord IS NULL OR a.seq IS NULL OR r.state <> 'completed' OR r.agent "
        "<> c.consumer OR r.completed_at <> c.consumed_at OR NOT instr(replace(r.inputs, '-', ''), "
        "lower(hex(a.id)))",
        "The artifact of seq {1} is consumed by run {0}, but is no input of a completed run of this "
        "consumer and time.",
    ),
    Check(
        "SELECT id, inputs, ifnull(n, 0) FROM (SELECT id, (SELECT count(DISTINCT value) FROM "
        "json_each(runs.inputs)) AS inputs FROM runs WHERE state = 'completed') LEFT JOIN (SELECT run, "
        "count(*) AS n FROM consumptions GROUP BY run) ON run = id WHERE inputs <> ifnull(n, 0)",
        "Run {0} completed with {1} inputs, but {2} are recorded as consumed.",
    ),
    Check(
        "SELECT id, outputs, ifnull(n, 0) FROM (SELECT id, json_array_length(outputs) AS outputs FROM runs) "
        "LEFT JOIN (SELECT run, count(*) AS n FROM artifacts WHERE run IS NOT NULL GROUP BY run) ON run = id "
        "WHERE outputs <> ifnull(n, 0)",
        "Run {0} names {1} outputs, but {2} are on the board.",
    ),
    Check(
        "SELECT r.id, r.state, ifnull(n, 0) FROM runs r CROSS JOIN log CROSS JOIN correlations c ON c.id = "
        "r.correlation LEFT JOIN (SELECT run, count(*) AS n FROM events WHERE kind = 'run.completed' GROUP "
        "BY run) ON run = r.id WHERE c.seq >= log.complete_from AND (r.state = 'completed') <> ifnull(n, "
        "0)",
        "Run {0} is {1}, but the log has {2} run.completed events of it.",
    ),
    Check(
        "SELECT e.run, e.kind, e.seq FROM events e LEFT JOIN runs r ON r.id = e.run "
        "WHERE e.run IS NOT NULL AND r.ord IS NULL",
        "Event {2} ({1}) is of run {0}, which does not exist.",
    ),
    Check(
        "SELECT value, seq FROM (SELECT upper(replace(value, '-', '')) AS digits, value, seq "
        "FROM events CROSS JOIN json_each(data, '$.woke') "
        "WHERE kind IN ('artifact.published', 'artifact.visible')) "
        "WHERE digits NOT IN (SELECT hex(id) FROM runs)",
        "Event {1} says that it woke run {0}, which does not exist.",
    ),
)

LOG = (
    Check("SELECT count(*) FROM log HAVING count(*) <> 1", "The log has {0} positions instead of one."),
    Check(
        "SELECT what, highest, next_seq FROM log, (SELECT 'event' AS what, max(seq) AS highest FROM events "
        "UNION ALL SELECT 'artifact', max(seq) FROM artifacts UNION ALL SELECT 'correlation', max(round_seq) "
        "FROM correlations) WHERE highest >= next_seq",
        "The {0} of seq {1} is at or after the log's next seq, {2}.",
    ),
    Check(
        "SELECT highest, next_run FROM log, (SELECT max(ord) AS highest FROM runs) WHERE highest >= next_run",
        "The run of number {0} is at or after the next one, {1}.",
    ),
    Check(
        "SELECT seq, at FROM (SELECT seq, at, lag(at) OVER (ORDER BY seq) AS before FROM events) WHERE "
        "before > at",
        "The time of event {0}, {1}, is before that of the one before it.",
    ),
)

CHECKS = (
    *LOG,
    *COUNTERS,
    *CORRELATIONS,
    *BATCHES,
    *POOLS,
    *HIDDEN,
    *QUESTIONS,
    *TIMERS,
    *ARTIFACTS,
    *RUNS,
    *ACCOUNTS,
)


def verify_path(path: Path) -> list[str]:
    """A sentence for each difference, the first hundred and then how many more; empty where all is well.

    Blocks for seconds on a large board. Raises StoreRefused where the file cannot be opened.
    """
    found: list[str] = []
    more = 0
    with closing(open_read_only(path)) as connection:
        try:
            connection.execute("BEGIN")
            for (problem,) in connection.execute(f"PRAGMA quick_check({SENTENCES_MAX})"):
                if problem != "ok":
                    found.append(f"The file is damaged: {problem}.")
            for check in CHECKS:
                for row in connection.execute(check.sql):
                    if len(found) < SENTENCES_MAX:
                        found.append(check.sentence.format(*map(_shown, row)))
                    else:
                        more += 1
        except sqlite3.DatabaseError as error:
            found.append(f"The file cannot be read to its end: {error}.")
    return [*found, f"And {more} more differences."] if more else found


async def verify(readers: Readers) -> list[str]:
    """`verify_path` of the file of these connections, in a thread on a connection of its own."""
    return await asyncio.to_thread(verify_path, readers.path)


def _shown(value: Any) -> Any:
    """A column as a sentence shows it."""
    if isinstance(value, bytes) and len(value) == 16:
        return id_text(value)
    return "none" if value is None else value
