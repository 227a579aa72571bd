"""The page in a real browser, over a real daemon."""

from __future__ import annotations

import asyncio

import httpx
from playwright.async_api import Page, Route, expect

from flockd.demo import flock

from .conftest import Daemon

BUGGY = "import os\n\nprint(nme)\n"
EVIL = "<img src=x onerror=alert(1)><script>alert(1)</script>"

expect.set_options(timeout=20_000)


async def submit(page: Page, **fields: str) -> None:
    """Publish a CodeSubmission by the form."""
    await page.get_by_label("Type").select_option("CodeSubmission")
    for name, value in fields.items():
        await page.get_by_label(name).fill(value)
    await page.get_by_role("button", name="Publish").click()


async def published(page: Page) -> list[int]:
    """The seqs of the rows in the feed, from the top."""
    return [
        int(seq)
        for seq in await page.locator("#feed > li").evaluate_all("rows => rows.map(r => r.dataset.seq)")
    ]


async def ended(page: Page, workflows: int) -> None:
    """Wait until the feed shows that so many workflows have ended."""
    await expect(page.locator("#feed > li[data-kind='correlation.completed']")).to_have_count(workflows)


async def post(daemon: Daemon, code: str) -> None:
    """Publish a CodeSubmission as another client would."""
    async with httpx.AsyncClient(base_url=daemon.url, trust_env=False) as client:
        answer = await client.post(
            "/api/v1/artifacts", json={"type": "CodeSubmission", "payload": {"code": code}}
        )
        answer.raise_for_status()


async def test_a_submission_is_published_and_its_review_arrives_live(live: Page) -> None:
    await submit(live, code=BUGGY, filename="greet.py")

    followed = live.get_by_role("region", name="Your CodeSubmission")
    await expect(followed.get_by_role("status")).to_have_text("completed")
    review = followed.locator("details[data-type='CodeReview']")
    await expect(review).to_contain_text("by code_reviewer")
    await expect(review.locator("pre")).to_contain_text('"verdict": "request changes"')
    await expect(review.locator("pre")).to_contain_text("undefined name 'nme'")
    await expect(followed.get_by_role("list", name="Runs").get_by_role("listitem")).to_have_count(3)

    await ended(live, 1)
    published_rows = live.locator("#feed > li[data-kind='artifact.published'] .what")
    await expect(published_rows).to_have_count(4)
    await expect(published_rows.last).to_have_text("CodeSubmission by external, woke 2 agents")
    await expect(published_rows.first).to_have_text("CodeReview by code_reviewer")
    seqs = await published(live)
    assert seqs == sorted(seqs, reverse=True)
    await expect(live.locator("#last-seq")).to_have_text(str(seqs[0]))


async def test_the_page_says_whose_it_is_and_who_is_there(live: Page) -> None:
    await expect(live).to_have_title("demo · flockd")
    agents = live.get_by_role("region", name="Agents").get_by_role("listitem")
    await expect(agents).to_have_count(len(flock.agents()))
    await expect(agents.filter(has_text="code_reviewer")).to_contain_text(
        "BugAnalysis + ComplexityReport → CodeReview"
    )


async def test_the_form_offers_what_wakes_agents_and_its_example(live: Page) -> None:
    await expect(live.get_by_label("Type")).to_have_value("CodeSubmission")
    assert await live.locator("#publish-type optgroup").first.locator("option").all_text_contents() == [
        "CodeSubmission",  # agents make it too, but it has examples for people
        "MyAgentInput",
        "PoemRequest",
        "Requirements",
        "ReviewRequest",
        "StartAgentInput",
        "TextAnalyzerInput",
    ]
    assert {"Plan", "GeneratedCode"} <= set(
        await live.locator("#publish-type optgroup[label='Made by agents'] option").all_text_contents()
    )
    await live.get_by_label("Type").select_option("TextAnalyzerInput")
    await expect(live.locator("#publish-wakes")).to_have_text("Wakes 1 agent: text_analyzer")
    await live.get_by_role("button", name="Fill in the example").click()
    await live.get_by_role("button", name="Publish").click()
    result = live.locator("details[data-type='TextAnalyzerOutput'] pre")
    await expect(result).to_contain_text('"sentiment": "positive"')


async def test_what_comes_of_a_publication_stands_below_the_form_on_a_phone(live: Page) -> None:
    await live.set_viewport_size({"width": 390, "height": 800})
    await submit(live, code=BUGGY)
    await expect(live.locator("#followed").get_by_role("status")).to_have_text("completed")
    tops = [
        await live.get_by_role("region", name=name).evaluate("region => region.getBoundingClientRect().top")
        for name in ("Publish an artifact", "Your CodeSubmission", "Live feed", "Agents")
    ]
    assert tops == sorted(tops)
    assert await live.evaluate("() => document.documentElement.scrollWidth") == 390


async def test_a_workflow_that_could_not_be_read_is_read_again(live: Page) -> None:
    """Also when its last event is over, so that nothing else rings."""
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def refuse(route: Route) -> None:
        await route.fulfill(status=502, body="no upstream")
        refused.put_nowait(route.request.url)

    await live.route("**/api/v1/correlations/*/status", refuse)
    await submit(live, code=BUGGY)
    await ended(live, 1)
    await expect(live.locator("#followed-summary")).to_have_text("The daemon answered 502")
    while not refused.empty():
        refused.get_nowait()
    async with asyncio.timeout(20):
        for _ in range(3):  # one may be on its way, and one be rung by the last event
            await refused.get()
    await live.unroute("**/api/v1/correlations/*/status")
    await expect(live.locator("#followed").get_by_role("status")).to_have_text("completed")


async def test_a_bad_field_shows_its_error_and_stores_nothing(live: Page) -> None:
    await submit(live, code=BUGGY, filename="x" * 256)
    field = live.get_by_label("filename")
    await expect(field).to_have_attribute("aria-invalid", "true")
    await expect(field).to_be_focused()
    await expect(live.locator("#field-filename-error")).to_contain_text("at most 255 characters")
    await expect(live.get_by_label("code")).to_have_attribute("aria-invalid", "false")
    await expect(live.locator("#followed")).to_be_hidden()
    assert await published(live) == []

    await field.fill("greet.py")
    await live.get_by_role("button", name="Publish").click()
    await expect(live.locator("details[data-type='CodeReview']")).to_be_visible()
    await expect(live.locator("#field-filename-error")).to_be_hidden()


async def test_json_that_is_none_is_said_at_its_field(live: Page) -> None:
    await live.get_by_label("Type").select_option("BugAnalysis")
    await live.get_by_label("findings").fill("[{")
    await live.get_by_role("button", name="Publish").click()
    await expect(live.locator("#field-findings-error")).to_contain_text("This is not JSON")
    await expect(live.get_by_label("findings")).to_be_focused()


async def test_the_feed_is_read_and_filtered_by_keyboard(live: Page, daemon: Daemon) -> None:
    await post(daemon, "first = 1\n")
    await ended(live, 1)
    first = await published(live)
    await post(daemon, "second = 2\n")
    await ended(live, 2)
    everything = await published(live)

    submission = live.locator("#feed > li", has_text="CodeSubmission by external").first
    await submission.locator("summary").focus()
    await live.keyboard.press("Enter")
    await expect(submission.locator("pre")).to_contain_text('"code": "second = 2\\n"')

    await submission.get_by_role("button", name="Show only workflow").focus()
    await live.keyboard.press("Enter")
    stop = live.get_by_role("button", name="Stop showing only workflow")
    await expect(stop).to_be_focused()
    await ended(live, 1)
    assert await published(live) == [seq for seq in everything if seq not in first]

    await live.keyboard.press("Enter")
    await ended(live, 2)
    assert await published(live) == everything

    await live.locator("#feed-show").select_option("artifacts")
    await expect(live.locator("#feed > li")).to_have_count(8)


async def test_what_was_written_is_shown_as_text(live: Page) -> None:
    dialogs: list[str] = []
    live.on("dialog", lambda dialog: dialogs.append(dialog.message))
    await submit(live, code=f"{BUGGY}# {EVIL}", filename=EVIL)
    review = live.locator("details[data-type='CodeReview'] pre")
    await expect(review).to_contain_text(EVIL)
    assert await live.locator("main img, main script").count() == 0
    assert dialogs == []


async def test_a_new_page_begins_with_what_happened_before(live: Page, daemon: Daemon) -> None:
    await post(daemon, BUGGY)
    await ended(live, 1)
    before = await published(live)
    await live.reload()
    await ended(live, 1)
    assert await published(live) == before


async def test_the_feed_goes_on_after_a_restart(live: Page, daemon: Daemon) -> None:
    await post(daemon, BUGGY)
    await ended(live, 1)
    before = await published(live)

    await daemon.stop()
    await expect(live.locator("#connection")).not_to_have_attribute("data-state", "live")
    await daemon.start()
    await post(daemon, BUGGY)

    await ended(live, 2)
    await expect(live.locator("#connection")).to_have_attribute("data-state", "live")
    after = await published(live)
    assert after[-len(before) :] == before
    assert after == sorted(set(after), reverse=True)
    await expect(live.locator("#feed > li[data-kind='artifact.published']")).to_have_count(8)


async def test_the_feed_goes_on_after_a_proxy_refused_it(live: Page, daemon: Daemon) -> None:
    """One answer that is not 200 ends a browser's EventSource for good; the page opens another."""
    refusals = 0

    async def refuse(route: Route) -> None:
        nonlocal refusals
        refusals += 1
        await route.fulfill(status=503, body="no upstream")

    await post(daemon, BUGGY)
    await ended(live, 1)
    await live.route("**/api/v1/events**", refuse)
    await daemon.stop()
    await daemon.start()
    await expect(live.locator("#connection")).to_have_attribute("data-state", "lost")
    await post(daemon, BUGGY)
    await live.unroute("**/api/v1/events**")

    await ended(live, 2)
    assert refusals >= 1
    after = await published(live)
    assert after == sorted(set(after), reverse=True)
    await expect(live.locator("#feed > li[data-kind='artifact.published']")).to_have_count(8)


async def test_another_board_on_the_same_port_is_told_apart(live: Page, daemon: Daemon) -> None:
    for _ in range(2):
        await post(daemon, BUGGY)
    await ended(live, 2)

    await daemon.stop()
    daemon.store = daemon.folder / "another.db"
    await daemon.start()
    await post(daemon, "fresh = 1\n")

    await expect(live.locator("#feed-notice")).to_have_text("The board was replaced: this is its new log.")
    await ended(live, 1)
    await expect(live.locator("#feed > li[data-kind='artifact.published']")).to_have_count(4)
    assert (await published(live))[-1] == 1
