"""The part of a group's overlay that says what calls of language models took, and what budgets have left."""

from __future__ import annotations

from flockd.domain.budget import Amounts, BudgetRule, Budgets, Ledger, LedgerKey, Scope, Shortage
from flockd.domain.moment import HOUR_MS
from flockd.domain.usage import Call, Usage

OF_THE_BOARD = (Scope.run, Scope.correlation)
"""The scopes whose subjects a reset of the board takes away. What agents and tenants have spent stays spent.

A workflow that begins under the same id after that is another one: calls whose runs are gone count for it no more than
for their runs."""


class Accounts:
    """Calls, the ledgers in which they stand, and the sums of what they took.

    A ledger is a sum over calls: one that is not there is made from them when a call first needs it, and from then on
    every call of it is counted, in the transaction in which it begins and in that in which it is settled.
    """

    def __init__(self, budgets: Budgets) -> None:
        self.budgets = budgets
        self.calls: dict[str, Call] = {}
        """Loaded ones, by id."""
        self.ledgers: dict[LedgerKey, Ledger] = {}
        """Loaded ones; with those of every call that begins in this group."""
        self.changed_calls: dict[str, Call] = {}
        self.changed_ledgers: dict[LedgerKey, Ledger] = {}
        self.dropped: list[LedgerKey] = []
        self.taken: dict[tuple[str, str, str, int], Usage] = {}
        """(tenant, agent, model, hour): what the calls that were settled took."""
        self.renewed: bytes | None = None
        """The digest of the rules by which ledgers are kept from now on; those of other rules go first."""

    @property
    def has_changes(self) -> bool:
        return bool(self.changed_calls or self.dropped or self.renewed is not None)

    def shortage(self, call: Call) -> Shortage | None:
        """The first budget into which a call does not fit; None where it may begin."""
        for rule, key in self.budgets.ledgers(call):
            found = _shortage(rule, self.ledgers[key], call)
            if found is not None:
                return found
        return None

    def begin(self, call: Call) -> None:
        """A call begins: the most that it may take is reserved."""
        self.calls[call.id] = self.changed_calls[call.id] = call
        for ledger in self._ledgers(call):
            ledger.reserved = ledger.reserved.plus(reserved(call))

    def settle(self, call: Call, taken: Usage, *, run_is_there: bool) -> None:
        """An open call is over.

        One for which no budget counts need not have begun here: it stands in no ledger.
        """
        for ledger in self._ledgers(call):
            if ledger.key.scope in OF_THE_BOARD and not run_is_there:
                continue
            ledger.reserved = ledger.reserved.minus(reserved(call))
            ledger.spent = ledger.spent.plus(spent(taken))
        call.taken = taken
        self.calls[call.id] = self.changed_calls[call.id] = call
        if taken.requests:
            key = (call.tenant, call.agent, call.model, call.began_at - call.began_at % HOUR_MS)
            self.taken[key] = self.taken.get(key, Usage()).plus(taken)

    def _ledgers(self, call: Call) -> list[Ledger]:
        """Those of its ledgers that are there, each once, as changed."""
        found = {key: self.ledgers[key] for _, key in self.budgets.ledgers(call) if key in self.ledgers}
        self.changed_ledgers.update(found)
        return list(found.values())

    def drop(self, key: LedgerKey) -> None:
        """Forget a ledger, unless somebody in this group needs it."""
        if key not in self.ledgers:
            self.dropped.append(key)

    def empty(self) -> None:
        """The board is emptied: its runs and workflows go, with their ledgers."""
        for ledgers in (self.ledgers, self.changed_ledgers):
            for key in [key for key in ledgers if key.scope in OF_THE_BOARD]:
                del ledgers[key]


def reserved(call: Call) -> Amounts:
    """What an open call takes of its budgets."""
    most = call.most
    return Amounts(1, most.input_tokens + most.output_tokens, most.cost or 0)


def spent(taken: Usage) -> Amounts:
    """What a settled call took of its budgets."""
    return Amounts(taken.requests, taken.input_tokens + taken.output_tokens, taken.cost)


def _shortage(rule: BudgetRule, ledger: Ledger, call: Call) -> Shortage | None:
    budget, gone, held, wanted = rule.budget, ledger.spent, ledger.reserved, reserved(call)
    cost, price = budget.cost, call.most.cost
    if cost is not None and (price is None or gone.cost + held.cost + price > cost):
        return Shortage(rule, ledger.key, "usd", cost, gone.cost, held.cost, price, call.model)
    if budget.requests is not None and gone.requests + held.requests + 1 > budget.requests:
        return Shortage(
            rule, ledger.key, "requests", budget.requests, gone.requests, held.requests, 1, call.model
        )
    if budget.tokens is not None and gone.tokens + held.tokens + wanted.tokens > budget.tokens:
        return Shortage(
            rule, ledger.key, "tokens", budget.tokens, gone.tokens, held.tokens, wanted.tokens, call.model
        )
    return None
