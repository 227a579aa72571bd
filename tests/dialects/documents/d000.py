"""Document 000: the REST API server."""

from __future__ import annotations

from .rows import Call, Elsewhere, Program, Row
from .shape import a_time, an_id, having

POST_AGENT = "POST /run/agent\nContent-Type: application/json\n\n"
POST_FLOCK = "POST /run/flock\nContent-Type: application/json\n\n"
HELLO = """\
{
  "agent_name": "my_agent",
  "inputs": {
    "query": "Hello, world!"
  },
  "async_run": false
}
"""
HELLO_FLOCK = HELLO.replace("my_agent", "start_agent")
HELLO_ASYNC = HELLO.replace("false", "true")
ENDLESS = '{"agent_name": "endless_agent", "async_run": true}'

COMPLETED = {
    "run_id": an_id,
    "status": "completed",
    "result": {"result": "Processed: Hello, world!"},
    "started_at": a_time,
    "completed_at": a_time,
    "error": None,
}
STARTING = {"run_id": an_id, "status": "starting", "result": None, "completed_at": None, "error": None}
RUNNING = {**STARTING, "status": "running", "started_at": a_time}
UNKNOWN = {
    "run_id": an_id,
    "status": "failed",
    "result": None,
    "started_at": a_time,
    "completed_at": a_time,
    "error": "Agent 'unknown_agent' not found",
}
MY_AGENT = {
    "name": "my_agent",
    "description": str,
    "input_schema": "query: str | The query to process",
    "output_schema": "result: str | The processed result",
    "hand_off": None,
}

CLIENT = """\
import requests
import time

# Run an agent synchronously
response = requests.post(
    "http://localhost:8344/run/agent",
    json={
        "agent_name": "my_agent",
        "inputs": {
            "query": "Hello, world!"
        },
        "async_run": False
    }
)
result = response.json()
print(f"Result: {result['result']}")

# Run an agent asynchronously
response = requests.post(
    "http://localhost:8344/run/agent",
    json={
        "agent_name": "my_agent",
        "inputs": {
            "query": "Hello, world!"
        },
        "async_run": True
    }
)
run_id = response.json()["run_id"]

# Poll for the result
while True:
    response = requests.get(f"http://localhost:8344/run/{run_id}")
    status = response.json()
    if status["status"] in ["completed", "failed"]:
        break
    time.sleep(1)

if status["status"] == "completed":
    print(f"Result: {status['result']}")
else:
    print(f"Error: {status['error']}")
"""

SERVES = "process/test_entry_points.py::test_the_program_of_a_document_serves_its_agents"
RUN_ID = {"{run_id}": "run_id"}

# fmt: off
DOCUMENT_000: tuple[Row, ...] = (
    Elsewhere("set up the server", SERVES),
    Call("run an agent", POST_AGENT + HELLO, COMPLETED),
    Call("run a workflow", POST_FLOCK + HELLO_FLOCK, COMPLETED),
    Call("status of a running run", "GET /run/{run_id}", RUNNING, after=POST_AGENT + ENDLESS, ids=RUN_ID, at_once=True),
    Call("status of a completed run", "GET /run/{run_id}", COMPLETED, after=POST_FLOCK + HELLO_FLOCK, ids=RUN_ID),
    Call("list agents", "GET /agents", {"agents": having(MY_AGENT)}),
    Call("synchronous execution", POST_FLOCK + HELLO, COMPLETED),
    Call("asynchronous execution", POST_AGENT + HELLO_ASYNC, STARTING),
    Call("asynchronous execution, polled", "GET /run/{run_id}", COMPLETED, after=POST_AGENT + HELLO_ASYNC, ids=RUN_ID),
    Call("an unknown agent", POST_AGENT + HELLO.replace("my_agent", "unknown_agent"), UNKNOWN),
    Program("client integration", CLIENT, "Result: {'result': 'Processed: Hello, world!'}\n" * 2),
)
# fmt: on
