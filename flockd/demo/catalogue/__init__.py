"""What the offline coder can build: working functions with their tests, and the words that name them.

Each function is real code of this package, copied into the module that is generated: it stands alone, uses
nothing but imports of its own file, and has beside it a `test_` function of its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flockd.demo.catalogue import arithmetic, items, sequences, services, texts


@dataclass(frozen=True, slots=True)
class Operation:
    """One function of the catalogue, its test, and the words of a sentence that name it."""

    function: Callable[..., Any]
    test: Callable[[], None]
    words: frozenset[str]

    @property
    def name(self) -> str:
        """How plans call it; no two operations share a name."""
        return self.function.__name__


@dataclass(frozen=True, slots=True)
class Family:
    """Operations on one kind of thing.

    `context`: words that speak of that thing, and so decide between families that share a word. `products`:
    words for something that is made of the operations called `whole`.
    """

    operations: tuple[Operation, ...]
    context: frozenset[str]
    products: frozenset[str]
    whole: tuple[str, ...]


def _family(*operations: Operation, context: str, products: str = "", whole: str = "") -> Family:
    return Family(operations, frozenset(context.split()), frozenset(products.split()), tuple(whole.split()))


def _operation(function: Callable[..., Any], test: Callable[[], None], words: str) -> Operation:
    return Operation(function, test, frozenset(words.split()))


FAMILIES = (
    _family(
        _operation(arithmetic.add, arithmetic.test_add, "add adds adding addition plus sum sums"),
        _operation(
            arithmetic.subtract,
            arithmetic.test_subtract,
            "subtract subtracts subtracting subtraction minus difference",
        ),
        _operation(
            arithmetic.multiply,
            arithmetic.test_multiply,
            "multiply multiplies multiplying multiplication times product",
        ),
        _operation(arithmetic.divide, arithmetic.test_divide, "divide divides dividing division quotient"),
        _operation(
            arithmetic.power, arithmetic.test_power, "power powers exponent exponentiation squares cubes"
        ),
        _operation(arithmetic.square_root, arithmetic.test_square_root, "root roots sqrt"),
        _operation(arithmetic.percentage, arithmetic.test_percentage, "percentage percentages percent"),
        _operation(arithmetic.factorial, arithmetic.test_factorial, "factorial factorials"),
        _operation(arithmetic.fibonacci, arithmetic.test_fibonacci, "fibonacci"),
        _operation(arithmetic.is_prime, arithmetic.test_is_prime, "prime primes primality"),
        _operation(
            arithmetic.calculate, arithmetic.test_calculate, "evaluate evaluates expression expressions"
        ),
        context="number numbers integer integers arithmetic calculation calculations math maths mathematical",
        products="calculator calculators arithmetic",
        whole="add subtract multiply divide calculate",
    ),
    _family(
        _operation(
            items.create_item,
            items.test_create_item,
            "add adds adding create creates creating insert inserts save saves saving store stores storing"
            " register registers registration",
        ),
        _operation(
            items.read_item, items.test_read_item, "get gets read reads fetch retrieve retrieves show shows"
        ),
        _operation(
            items.update_item,
            items.test_update_item,
            "update updates updating edit edits editing change changes modify modifies rename mark complete",
        ),
        _operation(
            items.delete_item,
            items.test_delete_item,
            "delete deletes deleting remove removes removing removal cancel",
        ),
        _operation(
            items.list_items, items.test_list_items, "list lists listing display displays view overview"
        ),
        _operation(
            items.search_items,
            items.test_search_items,
            "search searches searching find finds finding filter filters lookup",
        ),
        context="item items task tasks todo todos note notes user users record records entry entries product"
        " products customer customers order orders book books contact contacts inventory database account"
        " accounts message messages post posts event events",
        products="todo todos inventory database crud store tracker notebook catalogue catalog",
        whole="create_item read_item update_item delete_item list_items",
    ),
    _family(
        _operation(sequences.sort, sequences.test_sort, "sort sorts sorting sorted order orders rank ranks"),
        _operation(sequences.reverse, sequences.test_reverse, "reverse reverses reversing"),
        _operation(
            sequences.count,
            sequences.test_count,
            "count counts counting counter frequency frequencies histogram tally",
        ),
        _operation(sequences.search, sequences.test_search, "search searches searching find finds finding"),
        _operation(sequences.maximum, sequences.test_maximum, "maximum max largest highest biggest"),
        _operation(sequences.minimum, sequences.test_minimum, "minimum min smallest lowest"),
        _operation(sequences.average, sequences.test_average, "average averages mean"),
        _operation(sequences.total, sequences.test_total, "sum sums total totals"),
        _operation(
            sequences.unique, sequences.test_unique, "unique distinct deduplicate duplicate duplicates"
        ),
        context="list lists array arrays sequence values collection elements",
        products="statistics",
        whole="maximum minimum average total",
    ),
    _family(
        _operation(texts.reverse_text, texts.test_reverse_text, "reverse reverses reversing backwards"),
        _operation(
            texts.count_words,
            texts.test_count_words,
            "count counts counting counter frequency frequencies",
        ),
        _operation(texts.search_text, texts.test_search_text, "search searches searching find finds finding"),
        _operation(texts.is_palindrome, texts.test_is_palindrome, "palindrome palindromes"),
        _operation(texts.upper_case, texts.test_upper_case, "uppercase upper capitals"),
        _operation(texts.lower_case, texts.test_lower_case, "lowercase lower"),
        _operation(texts.is_email, texts.test_is_email, "email emails mail"),
        _operation(texts.greet, texts.test_greet, "greet greets greeting greetings hello"),
        context="text texts word words string strings sentence sentences character characters letter letters",
    ),
    _family(
        _operation(
            services.create_api,
            services.test_create_api,
            "api apis rest endpoint endpoints server service microservice backend webservice",
        ),
        _operation(
            services.convert,
            services.test_convert,
            "convert converts converting conversion conversions converter celsius fahrenheit kelvin",
        ),
        _operation(services.read_csv, services.test_read_csv, "csv spreadsheet"),
        _operation(services.to_json, services.test_to_json, "json"),
        context="http web unit units",
    ),
)
"""In the order in which they are asked where a sentence does not tell which of them it means."""

OPERATIONS = {operation.name: operation for family in FAMILIES for operation in family.operations}
