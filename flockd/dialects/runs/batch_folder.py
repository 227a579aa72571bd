"""The folder `batch.dir`, from which batches read their CSV files and into which they write their results."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from flockd.errors import InvalidInput, TooLarge

_SHOWN_CHARS = 100
"""Of a name, in an error."""


class BatchFolder:
    """Nothing outside of the folder is read or written, whatever links in it point to.

    The methods block: call them in a thread. Each raises InvalidInput for the field that named the file.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root

    def read(self, name: str, bytes_max: int) -> bytes:
        """A CSV file of at most `bytes_max` bytes (batch.file_bytes)."""
        field = "batch_inputs"
        path = self._inside(field, name)
        try:
            # A pipe would be waited for, and a link may have been put there since it was looked at.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise InvalidInput.field(
                field, f"The file {_shown(name)} cannot be read: {error.strerror}", "no_such_file"
            ) from None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise InvalidInput.field(field, f"{_shown(name)} is not a file", "not_a_file")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                raw = file.read(bytes_max + 1)
        finally:
            os.close(descriptor)
        if len(raw) > bytes_max:
            raise TooLarge(
                f"The file {_shown(name)} is larger than {bytes_max} bytes (batch.file_bytes)",
                details={"field": field, "limit": bytes_max},
            )
        return raw

    def target(self, name: str) -> Path:
        """Where results are to be written: a file in a folder that is there."""
        field = "write_to_csv"
        path = Path(name)
        folder = self._inside(field, str(path.parent), name)
        target = folder / path.name
        if path.name not in ("", "..") and folder.is_dir() and _may_be_file(target):
            return target
        raise InvalidInput.field(field, f"{_shown(name)} is not a file that can be written", "not_a_file")

    def _inside(self, field: str, path: str, shown: str | None = None) -> Path:
        """The path without links, below the folder."""
        name = path if shown is None else shown
        if self._root is None:
            raise InvalidInput.field(
                field, f"{_shown(name)} names a file, and no folder for files is set (batch.dir)", "no_folder"
            )
        try:
            root = self._root.resolve(strict=True)
            found = (root / path).resolve()
        except (OSError, RuntimeError, ValueError):  # too long, links in a circle, a NUL
            raise self._outside(field, name) from None
        if ".." in Path(path).parts or not found.is_relative_to(root):
            raise self._outside(field, name)
        return found

    @staticmethod
    def _outside(field: str, name: str) -> InvalidInput:
        return InvalidInput.field(field, f"{_shown(name)} is not a file below batch.dir", "outside_folder")


def _shown(name: str) -> str:
    """A name in a sentence. What has no line break is taken for one, however long it is."""
    return repr(name if len(name) <= _SHOWN_CHARS else f"{name[:_SHOWN_CHARS]}…")


def _may_be_file(path: Path) -> bool:
    """Whether a file may be put there: nothing is, or a file, or a link, which is replaced and not followed."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # too long, a NUL
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)
