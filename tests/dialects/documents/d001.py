"""Document 001: the REST API of later versions."""

from __future__ import annotations

from .d000 import POST_FLOCK, SERVES
from .rows import Call, Elsewhere, Row
from .shape import a_percentage, a_time, an_id, having, list_of, maybe, text

FUN = """\
{
  "agent_name": "text_analyzer",
  "inputs": {
    "text": "Flock makes building agents easy and fun!"
  },
  "async_run": false
}
"""
FUN_ASYNC = FUN.replace("false", "true")
POST_BATCH = "POST /run/batch\nContent-Type: application/json\n\n"
ITEMS = """\
{
  "agent_name": "text_analyzer",
  "batch_inputs": [{"text": "This is great!"}, {"text": "This is awful."}],
  "parallel": true
}
"""
CSV = """\
{
  "agent_name": "text_analyzer",
  "batch_inputs": "texts.csv",
  "static_inputs": {}
}
"""
CURL_SYNC = """\
# Start a synchronous run
curl -X POST http://127.0.0.1:8344/run/flock -H "Content-Type: application/json" -d '{
  "agent_name": "text_analyzer",
  "inputs": {
    "text": "This is great!"
  }
}'
"""
CURL_ASYNC = """\
# Start an asynchronous run
curl -X POST http://127.0.0.1:8344/run/flock -H "Content-Type: application/json" -d '{
  "agent_name": "text_analyzer",
  "inputs": {
    "text": "This will run in the background."
  },
  "async_run": true
}'
"""
CURL_STATUS = """\
# Check the status of the asynchronous run (replace {run_id} with the actual ID)
curl http://127.0.0.1:8344/run/{run_id}
"""

ANALYSIS = {"sentiment": str, "keywords": list_of(str)}
COMPLETED = {
    "run_id": an_id,
    "status": "completed",
    "result": ANALYSIS,
    "started_at": a_time,
    "completed_at": a_time,
    "error": None,
}
STARTING = {"run_id": an_id, "status": "starting", "result": None, "completed_at": None, "error": None}
BATCH = {
    "batch_id": an_id,
    "status": "starting",
    "total_items": int,
    "completed_items": int,
    "progress_percentage": a_percentage,
    "results": list,
}
BATCH_DONE = {
    **BATCH,
    "status": "completed",
    "total_items": 2,
    "completed_items": 2,
    "results": [ANALYSIS],
}
LISTED = {"name": "text_analyzer", "description": str, "hand_off": maybe(str)}
RUN_ID = {"{run_id}": "run_id"}
BATCH_ID = {"{batch_id}": "batch_id"}

# fmt: off
DOCUMENT_001: tuple[Row, ...] = (
    Elsewhere("start the server", SERVES),
    Call("run a workflow", POST_FLOCK + FUN, COMPLETED),
    Call("run a workflow asynchronously", POST_FLOCK + FUN_ASYNC, STARTING),
    Call("run a batch of dicts", POST_BATCH + ITEMS, BATCH),
    Call("run a batch of a CSV file", POST_BATCH + CSV, BATCH),
    Call("status of a run", "GET /run/{run_id}", COMPLETED, after=POST_FLOCK + FUN, ids=RUN_ID),
    Call("status of a batch of dicts", "GET /batch/{batch_id}", BATCH_DONE, after=POST_BATCH + ITEMS, ids=BATCH_ID),
    Call("status of a batch of a CSV file", "GET /batch/{batch_id}", BATCH_DONE, after=POST_BATCH + CSV, ids=BATCH_ID),
    Call("list agents", "GET /agents", {"agents": having(LISTED)}),
    Call("curl: a synchronous run", CURL_SYNC, COMPLETED),
    Call("curl: an asynchronous run", CURL_ASYNC, STARTING),
    Call("curl: the status of the run", CURL_STATUS, COMPLETED, after=CURL_ASYNC, ids=RUN_ID),
    Call("Swagger UI", "GET /docs", text("<!doctype html>")),
    Call("ReDoc", "GET /redoc", text("<!doctype html>")),
)
# fmt: on
