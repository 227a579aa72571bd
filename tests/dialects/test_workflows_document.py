"""The two test files that document 004 sketches pass against the demo: only their client is another one, over HTTP."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from flockd.demo import flock

from .conftest import LIMIT_SECONDS, Serve

CLIENT = """\
import os

import httpx

client = httpx.Client(base_url=os.environ["FLOCK_URL"])
"""

UNIT = (
    CLIENT
    + """

def test_execute_workflow():
    response = client.post(
        "/execute-workflow",
        json={
            "requirements": "Create a calculator",
            "workflow_type": "full"
        }
    )
    assert response.status_code == 200
    data = response.json()
    assert "session_id" in data
    assert data["status"] == "accepted"

def test_invalid_workflow_type():
    response = client.post(
        "/execute-workflow",
        json={
            "requirements": "Test",
            "workflow_type": "invalid"
        }
    )
    assert response.status_code == 400
    assert "Unknown workflow type" in response.json()["detail"]
"""
)

INTEGRATION = (
    CLIENT
    + """
import asyncio
import pytest

@pytest.mark.asyncio
async def test_full_workflow_execution():
    with client:
        # Submit workflow
        response = client.post(
            "/execute-workflow",
            json={
                "requirements": "Create a simple API",
                "workflow_type": "full"
            }
        )
        session_id = response.json()["session_id"]

        # Poll for completion
        max_attempts = 30
        for _ in range(max_attempts):
            status_response = client.get(f"/workflow-status/{session_id}")
            status = status_response.json()["status"]

            if status in ["completed", "failed"]:
                break

            await asyncio.sleep(2)

        # Verify completion
        assert status == "completed"
        assert "generated_code" in status_response.json()
"""
)


async def test_the_tests_of_the_document_pass(serve: Serve, tmp_path: Path) -> None:
    api = await serve(flock)
    folder = tmp_path / "document"
    folder.mkdir()
    (folder / "test_endpoints.py").write_text(UNIT, "utf-8")
    (folder / "test_full_flow.py").write_text(INTEGRATION, "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."),
        cwd=folder,
        env=os.environ | {"FLOCK_URL": str(api.client.make_url(""))},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(LIMIT_SECONDS):
        output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    assert "3 passed" in output.decode()
