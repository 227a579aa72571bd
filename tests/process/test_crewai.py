"""A flow of CrewAI works unchanged. Optional: collected only where `pip install 'flockd[crewai]'` was made."""

from pathlib import Path

from .test_entry_points import answer, serving

CREW = """
from crewai.flow.flow import Flow, listen, start
from pydantic import BaseModel

from flockd import Flock


class PoemState(BaseModel):
    sentence_count: int = 1
    poem: str = ""


class PoemFlow(Flow[PoemState]):
    @start()
    def count(self):
        return self.state.sentence_count

    @listen(count)
    def write(self, count):
        self.state.poem = " ".join(["A line."] * count)


flock = Flock()
flock.flow(PoemFlow)
"""


async def test_a_flow_of_crewai_works_unchanged(tmp_path: Path) -> None:
    (tmp_path / "poems.py").write_text(CREW, "utf-8")
    async with serving(tmp_path, "-m", "flockd", "serve", "poems:flock", "--port", "0") as url:
        asked = {"type": "PoemState", "payload": {"sentence_count": 3}, "timeout": 60}
        status, done = await answer(f"{url}/api/v1/artifacts/sync", asked)
        assert (status, done["state"]) == (200, "completed"), done
        assert [artifact["payload"] for artifact in done["artifacts"]] == [
            {"sentence_count": 3, "poem": "A line. A line. A line."}
        ]
