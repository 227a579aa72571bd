"""What programs of MCP servers say on their standard error: whole lines, and no part of a secret."""

import logging

from flockd.engines.llm.mcp_stderr import Stderr

SECRET = "hush-hush-hush"


def stderr() -> Stderr:
    log = logging.LoggerAdapter(logging.getLogger("test"), {})
    return Stderr("test", log, lambda line: line.replace(SECRET, "***"))


async def test_a_secret_at_the_end_of_what_is_told_of_a_line_is_not_cut_in_two() -> None:
    with stderr() as said:
        said.file.write("x" * 1990 + SECRET)
    assert said.last_words == "x" * 1990 + "***"


async def test_the_beginning_of_a_long_line_is_told_and_the_next_one() -> None:
    with stderr() as said:
        said.file.write("x" * 5000 + "\nthe end\n\n")
    assert said.last_words == "x" * 2000 + "\nthe end"
