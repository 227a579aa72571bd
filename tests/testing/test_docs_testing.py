"""The examples of docs/testing.md are a project of their own, whose tests pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flockd.testing import Asked, BoardArtifact, LocalBoard

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCK = re.compile(r"^```python (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_examples_pass(tmp_path: Path) -> None:
    pytest.importorskip("pydantic_ai")
    files: dict[str, str] = {}
    for name, code in BLOCK.findall(TEXT):
        files[name] = files.get(name, "") + code + "\n\n"
    assert sorted(files) == ["shop.py", "test_shop.py"]
    for name, code in files.items():
        (tmp_path / name).write_text(code, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\npythonpath = .\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shop.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )
    assert done.returncode == 0, done.stdout
    count = len(re.findall(r"^(?:async )?def test_", files["test_shop.py"], re.MULTILINE))
    assert f"{count} passed" in done.stdout


def test_everything_that_a_board_does_is_told() -> None:
    members = {name for name in vars(LocalBoard) if not name.startswith("_")} - {"at_work"}
    assert {name for name in members if f"board.{name}(" not in TEXT} == set()


@pytest.mark.parametrize("shown", [Asked, BoardArtifact])
def test_every_field_is_told(shown: type) -> None:
    fields = {name for name in vars(shown) if not name.startswith("_")} - {"of"}
    assert {name for name in fields if not re.search(rf"`{name}`|\.{name}\b", TEXT)} == set()
