"""From the items of a batch as a client gives them to the inputs of its agent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from flockd.board import Publication
from flockd.dialects.problems import PROBLEMS_MAX
from flockd.dialects.runs.batch_folder import BatchFolder
from flockd.dialects.runs.csv_rows import Row, decode, parse_csv, too_many
from flockd.dialects.runs.input_form import InputForm
from flockd.errors import FieldProblem, InvalidInput

_ITEMS_PER_TURN = 64
"""Items that are read before others have the loop."""
_HEADINGS_SHOWN = 5
_SHOWN_CHARS = 200
"""What an error says of headings that are nobody's."""

Item = list[Publication] | InvalidInput
"""The inputs of one item, or why its type refuses them."""


class ItemReader:
    """Names the values of an item as the agent's input fields, and fills in those that all items share.

    A key that the mapping names becomes its field; any other passes if the type has it. What an item gives wins
    over `static`. An empty cell of a CSV gives nothing; a field that must be text and has no other source gets
    the empty text then.
    """

    def __init__(self, form: InputForm, mapping: Mapping[str, str], static: Mapping[str, Any]) -> None:
        """Raises InvalidInput for a field that there is not, and for two keys that become one field."""
        self._form = form
        self._mapping = mapping
        self._static = static
        problems = list(islice(self._problems(), PROBLEMS_MAX))
        if problems:
            raise InvalidInput.of(problems)

    def _problems(self) -> Iterator[FieldProblem]:
        for key, field in self._mapping.items():
            if not self._form.has(field):
                yield self._form.unknown(f"input_mapping.{key}", field)
        for field in self._static:
            if not self._form.has(field):
                yield self._form.unknown(f"static_inputs.{field}", field)
        taken: dict[str, str] = {}
        for key, field in self._mapping.items():
            if taken.setdefault(field, key) != key:
                yield FieldProblem(
                    f"input_mapping.{key}", f"{taken[field]} becomes {field} already", "ambiguous"
                )

    async def read(
        self, given: list[Any] | str, folder: BatchFolder, *, items_max: int, file_bytes: int
    ) -> list[Item]:
        """All items, in their order: objects, or rows of CSV text or of a file.

        Raises InvalidInput and TooLarge for what spoils the whole batch; an item that its type refuses does not.
        """
        if isinstance(given, list):
            if len(given) > items_max:
                raise too_many(items_max)
            return await self._checked([self._object(item, index) for index, item in enumerate(given)])
        headings, rows = await asyncio.to_thread(_rows, given, folder, items_max, file_bytes)
        texts = [field for field in self._columns(headings) if self._form.needs_text(field)]
        return await self._checked([self._row(row, texts) for row in rows])

    async def _checked(self, items: Sequence[Mapping[str, Any]]) -> list[Item]:
        """The items as publications. Others have the loop in between: a large batch takes a second."""
        checked: list[Item] = []
        for item in items:
            try:
                checked.append(self._form.publications({**self._static, **item}))
            except InvalidInput as invalid:
                checked.append(invalid)
            if len(checked) % _ITEMS_PER_TURN == 0:
                await asyncio.sleep(0)
        return checked

    def _object(self, item: Any, index: int) -> dict[str, Any]:
        if not isinstance(item, dict):
            raise InvalidInput.field(f"batch_inputs.{index}", "Must be an object", "dict_type")
        return self._named(item)

    def _row(self, row: Row, texts: Sequence[str]) -> dict[str, Any]:
        """The values of a row; `texts` are the fields that get the empty text where nothing gives them another."""
        values = {field: self._form.value(field, cell) for field, cell in self._named(row).items()}
        empty = {field: "" for field in texts if field not in self._static}
        return empty | values

    def _named(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """An item's values by input field; a mapped key wins over one that has the field's name by itself."""
        passing = {
            key: value for key, value in item.items() if key not in self._mapping and self._form.has(key)
        }
        return passing | {field: item[key] for key, field in self._mapping.items() if key in item}

    def _columns(self, headings: Sequence[str]) -> Iterable[str]:
        """The fields that have a column.

        Raises InvalidInput for a mapped column that is not there, and where no column is any field's.
        """
        there = frozenset(headings)
        for column in self._mapping:
            if column not in there:
                raise InvalidInput.field(
                    f"input_mapping.{column}", f"The CSV has no column {column}", "no_such_column"
                )
        fields = self._named(dict.fromkeys(headings, ""))
        if not fields:
            unknown = ", ".join(filter(None, headings[:_HEADINGS_SHOWN]))[:_SHOWN_CHARS]
            raise InvalidInput.of([self._form.unknown("batch_inputs", unknown)])
        return fields


def _rows(given: str, folder: BatchFolder, items_max: int, file_bytes: int) -> tuple[list[str], list[Row]]:
    """CSV text, known by its line break, or the CSV file of this name. Blocks."""
    is_text = "\n" in given or "\r" in given
    text = given if is_text else decode(folder.read(given, file_bytes))
    return parse_csv(text, items_max)
