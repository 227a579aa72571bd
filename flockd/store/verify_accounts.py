"""Verification of what calls of language models took: on each row, in each sum and in each ledger."""

from __future__ import annotations

from flockd.store.accounts import OF_THE_BOARD
from flockd.store.check import Check

_COLUMNS = ("requests", "input_tokens", "output_tokens", "cost", "ms", "unpriced", "estimated")
_TAKEN = (
    "sum(requests), sum(input_tokens), sum(output_tokens), sum(cost), sum(ms), "
    "sum(requests * (cost_most IS NULL)), sum(requests * estimated)"
)
"""The same of calls."""
_ON_BOARD = "run IN (SELECT id FROM runs)"
"""Of a call: a reset has not taken its run away, so it counts for its run and its workflow."""


def _resum(table: str, key: str, real_key: str, sentence: str) -> Check:
    """A table of sums against the calls that were sent."""
    differs = " OR ".join(f"sum(sign * {column}) <> 0" for column in _COLUMNS)
    return Check(
        f"SELECT {key} FROM (SELECT {key}, 1 AS sign, {', '.join(_COLUMNS)} FROM {table} "
        f"UNION ALL SELECT {real_key}, -1, {_TAKEN} FROM calls WHERE requests > 0 GROUP BY {real_key}) "
        f"GROUP BY {key} HAVING {differs}",
        sentence,
    )


def _usage_of(table: str, column: str, noun: str) -> Check:
    """What its calls took, on each row of `table`, which a column of the calls names."""
    return Check(
        f"SELECT t.id, t.usage, c.usage FROM {table} t LEFT JOIN (SELECT {column}, json_array({_TAKEN}) AS usage "
        f"FROM calls WHERE requests > 0 AND {_ON_BOARD} GROUP BY {column}) AS c "
        f"ON c.{column} = t.id WHERE t.usage IS NOT c.usage",
        noun + " {0} says that its calls took {1}, but they took {2}.",
    )


def _ledger(scope: str, subject: str) -> Check:
    """The ledgers of a scope against the calls of their subjects, which a column names."""
    counting = f"WHERE {_ON_BOARD} " if scope in OF_THE_BOARD else ""
    return Check(
        "SELECT scope, subject, began_at, told, real FROM (SELECT l.scope, l.subject, l.began_at, "
        "json_array(spent_requests, spent_tokens, spent_cost, reserved_requests, reserved_tokens, reserved_cost) "
        "AS told, json_array(ifnull(sum(requests), 0), ifnull(sum(input_tokens + output_tokens), 0), "
        "ifnull(sum(cost), 0), count(c.id) FILTER (WHERE requests IS NULL), "
        "ifnull(sum(input_most + output_most) FILTER (WHERE requests IS NULL), 0), "
        "ifnull(sum(cost_most) FILTER (WHERE requests IS NULL), 0)) AS real "
        # a copy, which SQLite gives an index:
        f"FROM ledgers l LEFT JOIN (SELECT * FROM calls {counting}LIMIT -1) AS c "
        f"ON c.{subject} = l.subject AND (l.agent = '' OR c.agent = l.agent) "
        "AND c.began_at >= l.began_at AND (l.ends_at IS NULL OR c.began_at < l.ends_at) "
        f"WHERE l.scope = '{scope}' GROUP BY l.scope, l.subject, l.agent, l.per, l.began_at) WHERE told <> real",
        "The ledger of {0} {1} from {2} on says {3}, but its calls come to {4}.",
    )


ACCOUNTS = (
    Check(
        "SELECT id FROM calls WHERE (requests IS NULL) <> (input_tokens IS NULL) OR (requests IS NULL) <> "
        "(output_tokens IS NULL) OR (requests IS NULL) <> (cost IS NULL) OR (requests IS NULL) <> (ms IS NULL) "
        "OR (requests IS NULL AND estimated)",
        "Call {0} is neither open nor settled.",
    ),
    Check(
        "SELECT id FROM calls WHERE min(input_most, output_most, ifnull(cost_most, 0), ifnull(requests, 0), "
        "ifnull(input_tokens, 0), ifnull(output_tokens, 0), ifnull(cost, 0), ifnull(ms, 0)) < 0",
        "Call {0} took less than nothing.",
    ),
    Check(
        "SELECT id FROM calls WHERE estimated AND (requests <> 1 OR input_tokens <> input_most "
        "OR output_tokens <> output_most OR cost <> ifnull(cost_most, 0))",
        "Call {0} was charged what it might take at most, but other figures.",
    ),
    _resum(
        "usage",
        "tenant, agent, model",
        "tenant, agent, model",
        "What calls of {2} by {1} took is not what their sum says.",
    ),
    _resum(
        "usage_hours",
        "tenant, hour, agent, model",
        "tenant, began_at - began_at % 3600000, agent, model",
        "What calls of {3} by {2} took in the hour from {1} on is not what their sum says.",
    ),
    _usage_of("runs", "run", "Run"),
    _usage_of("correlations", "correlation", "Correlation"),
    _ledger("run", "run"),
    _ledger("correlation", "correlation"),
    _ledger("agent", "agent"),
    _ledger("tenant", "tenant"),
    Check(
        "SELECT scope, subject, began_at, ends_at FROM ledgers WHERE ends_at IS NOT CASE per WHEN '' THEN NULL "
        "WHEN 'minute' THEN began_at + 60000 WHEN 'hour' THEN began_at + 3600000 WHEN 'day' THEN began_at + 86400000 "
        "ELSE 1000 * strftime('%s', began_at / 1000, 'unixepoch', '+1 month') END",
        "The ledger of {0} {1} from {2} on ends at {3}, which is no end of its window.",
    ),
    Check(
        "SELECT count(*) FROM ledger_rules HAVING count(*) > 1",
        "The rules under which ledgers are kept are on record {0} times.",
    ),
)
