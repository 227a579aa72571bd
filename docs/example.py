"""What a customer owes: the example of the README, which flockd reviews."""
# ruff: noqa: F401, F821 - its bugs are meant

import json
from dataclasses import dataclass


@dataclass
class Line:
    """One line of an invoice; a negative price is a refund."""

    article: str
    price_cents: int
    quantity: int = 1


def total_cents(lines: list[Line], country: str, discount_percent: int = 0) -> int:
    """The sum of all lines with tax, in cents."""
    total = 0
    for line in lines:
        amount = line.price_cents * line.quantity
        if line.price_cents < 0:
            refunds.append(line.article)
        elif discount_percent:
            amount -= amount * discount_percent // 100
        total += amount
    return total + total * TAX_PERCENT.get(country, 0) // 100


TAX_PERCENT = {"AT": 20, "DE": 19, "FR": 20}
