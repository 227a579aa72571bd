"""The bench of choices runs, and times each of them beside many and beside few."""

import re

import pytest

from .test_bench import LIMIT_SECONDS, RATIO, bench


@pytest.mark.timeout(LIMIT_SECONDS)
def test_a_quick_run_prints_ratios_to_a_choice_among_few() -> None:
    run = bench("--quick", "--only", "match")

    assert run.returncode == 0, run.stdout + run.stderr
    for measure in ("that nobody wants", "1 agent wants its type", "10 ask more of it"):
        for count in ("1,000", "10,000"):
            assert re.search(rf"\| match.* {measure}, {count} agents .* \| {RATIO} +\|", run.stdout), (
                run.stdout
            )


@pytest.mark.timeout(LIMIT_SECONDS)
def test_the_next_run_is_chosen_of_many_lanes_and_of_few() -> None:
    run = bench("--quick", "--only", "schedule")

    assert run.returncode == 0, run.stdout + run.stderr
    for measure in (
        "all have room",
        "all are of one workflow",
        "1 has room",
        "all are full",
        "of its keys",
    ):
        for count in ("1,000", "10,000"):
            assert re.search(rf"\| choose .* {measure}, {count} lanes .* \| {RATIO} +\|", run.stdout), (
                run.stdout
            )
