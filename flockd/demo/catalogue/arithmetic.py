"""What a calculator can do."""

import math
import operator
import re


def add(left: float, right: float) -> float:
    """The sum of two numbers."""
    return left + right


def test_add() -> None:
    assert add(2, 3) == 5
    assert add(-1.5, 1.5) == 0


def subtract(left: float, right: float) -> float:
    """The difference of two numbers."""
    return left - right


def test_subtract() -> None:
    assert subtract(2, 3) == -1


def multiply(left: float, right: float) -> float:
    """The product of two numbers."""
    return left * right


def test_multiply() -> None:
    assert multiply(4, 2.5) == 10
    assert multiply(7, 0) == 0


def divide(left: float, right: float) -> float:
    """The quotient of two numbers. Raises ZeroDivisionError where `right` is 0."""
    return left / right


def test_divide() -> None:
    assert divide(10, 4) == 2.5
    try:
        divide(1, 0)
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError("a division by zero must be refused")


def power(base: float, exponent: int) -> float:
    """A number raised to a whole power."""
    return float(base**exponent)


def test_power() -> None:
    assert power(2, 10) == 1024
    assert power(2, -1) == 0.5


def square_root(number: float) -> float:
    """The square root. Raises ValueError for a negative number."""
    return math.sqrt(number)


def test_square_root() -> None:
    assert square_root(2.25) == 1.5


def percentage(part: float, whole: float) -> float:
    """How many percent of `whole` a `part` is. Raises ZeroDivisionError where `whole` is 0."""
    return part / whole * 100


def test_percentage() -> None:
    assert percentage(1, 4) == 25


def factorial(number: int) -> int:
    """The product of all whole numbers from 1. Raises ValueError for a negative number."""
    return math.factorial(number)


def test_factorial() -> None:
    assert factorial(0) == 1
    assert factorial(5) == 120


def fibonacci(count: int) -> list[int]:
    """The first numbers of the Fibonacci sequence, from 0."""
    sequence = [0, 1]
    while len(sequence) < count:
        sequence.append(sequence[-1] + sequence[-2])
    return sequence[:count]


def test_fibonacci() -> None:
    assert fibonacci(0) == []
    assert fibonacci(8) == [0, 1, 1, 2, 3, 5, 8, 13]


def is_prime(number: int) -> bool:
    """Whether a whole number is prime."""
    return number > 1 and all(number % divisor for divisor in range(2, math.isqrt(number) + 1))


def test_is_prime() -> None:
    assert [number for number in range(20) if is_prime(number)] == [2, 3, 5, 7, 11, 13, 17, 19]


def calculate(expression: str) -> float:
    """The value of an expression of numbers, + - * / and brackets, some hundred deep.

    Raises ValueError where it is none, ZeroDivisionError for a division by zero.
    """
    tokens = re.findall(r"\d+(?:\.\d*)?|\.\d+|\S", expression)[::-1]
    ranks = ({"+": operator.add, "-": operator.sub}, {"*": operator.mul, "/": operator.truediv})

    def operand() -> float:
        token = tokens.pop() if tokens else ""
        if token == "-":
            return -operand()
        if token != "(":
            return float(token)
        value = operation(0)
        if not tokens or tokens.pop() != ")":
            raise ValueError(f"a bracket is not closed: {expression}")
        return value

    def operation(rank: int) -> float:
        if rank == len(ranks):
            return operand()
        value = operation(rank + 1)
        while tokens and tokens[-1] in ranks[rank]:
            combine = ranks[rank][tokens.pop()]
            value = combine(value, operation(rank + 1))
        return value

    value = operation(0)
    if tokens:
        raise ValueError(f"not an expression: {expression}")
    return value


def test_calculate() -> None:
    assert calculate("1 + 2 * (3 - 4) / 2") == 0
    assert calculate("2 * (2 + .5)") == 5
    assert calculate("-3 + 5") == 2
    assert calculate("8 / -2 * 3") == -12
    for wrong in ("", "1 +", "2 2", "(1", "1)", "x", "1 ** 2"):
        try:
            calculate(wrong)
        except ValueError:
            continue
        raise AssertionError(f"{wrong!r} must be refused")
