"""The clients of document 002."""

from __future__ import annotations

from .rows import Program

CLIENT = """\
import asyncio
import httpx
client = httpx.AsyncClient()
"""
CLOSED = "await client.aclose()\n"
PUBLISH = """\
code = {"type": "CodeSubmission", "payload": {"code": "print(nme)"}}
answer = await client.post("http://localhost:8344/api/v1/artifacts", json=code)
"""

WAIT = Program(
    "polling pattern",
    """\
import httpx
import time

async def wait_for_completion(correlation_id: str, timeout: int = 300):
    start = time.time()
    while time.time() - start < timeout:
        async with httpx.AsyncClient() as client:
            resp = await client.get(
                f"http://localhost:8344/api/v1/correlations/{correlation_id}/status"
            )
            data = resp.json()

            if data["state"] in ["completed", "failed"]:
                return data

            await asyncio.sleep(2)  # Poll every 2 seconds

    raise TimeoutError("Workflow did not complete in time")
""",
    "completed 4\n",
    before=CLIENT,
    after=f"""\
{PUBLISH}{CLOSED}
data = await wait_for_completion(answer.json()["correlation_id"])
print(data["state"], data["artifact_count"])
""",
)

PROGRAMS = (
    Program(
        "option A: the sync endpoint",
        """\
async with httpx.AsyncClient() as client:
    response = await client.post(
        "http://localhost:8344/api/v1/artifacts/sync",
        json={
            "type": "CodeSubmission",
            "payload": {"code": "...", "language": "python"},
            "timeout": 60.0,
            "filters": {"type_names": ["BugAnalysis"]}
        },
        headers={"X-Idempotency-Key": str(uuid.uuid4())}
    )
    result = response.json()

    if result["completed"]:
        bugs = result["artifacts"]
    else:
        # Timeout - partial results available
        print(f"Timeout after {result['duration_ms']}ms")
""",
        "['BugAnalysis']\n",
        before="import uuid\nimport httpx\n",
        after='print([bug["type"] for bug in bugs])\n',
    ),
    Program(
        "option B: publish, poll, get the results",
        """\
# Step 1: Publish with correlation_id
correlation_id = str(uuid.uuid4())
async with httpx.AsyncClient() as client:
    await client.post(
        "http://localhost:8344/api/v1/artifacts",
        json={
            "type": "CodeSubmission",
            "payload": {"code": "...", "language": "python"}
        },
        headers={"X-Correlation-ID": correlation_id}
    )

# Step 2: Poll for completion
while True:
    resp = await client.get(
        f"http://localhost:8344/api/v1/correlations/{correlation_id}/status"
    )
    status = resp.json()

    if status["state"] == "completed":
        break
    elif status["state"] == "failed":
        raise RuntimeError("Workflow failed")

    await asyncio.sleep(2)

# Step 3: Get results
resp = await client.get(
    f"http://localhost:8344/api/v1/artifacts?correlation_id={correlation_id}"
)
results = resp.json()["items"]
""",
        "['BugAnalysis', 'CodeReview', 'CodeSubmission', 'ComplexityReport'] True\n",
        before="import asyncio\nimport uuid\nimport httpx\n",
        after=f"""\
print(sorted(one["type"] for one in results), {{one["correlation_id"] for one in results}} == {{correlation_id}})
{CLOSED}""",
        changed=("async with httpx.AsyncClient() as client:\n", "client = httpx.AsyncClient()\nif client:\n"),
        because="the client is closed at the end of step 1, and httpx refuses steps 2 and 3",
    ),
)

DASHBOARD = Program(
    "custom dashboards",
    """\
# Get all artifacts with their consumers
async with httpx.AsyncClient() as client:
    resp = await client.get(
        "http://localhost:8344/api/v1/artifacts?embed_meta=true&limit=100"
    )
    artifacts = resp.json()["items"]

# Each artifact includes:
# - consumptions: List of {consumer, run_id, consumed_at}
# - consumed_by: List of unique consumer names

# Build dependency graph
graph = {}
for artifact in artifacts:
    producer = artifact["produced_by"]
    consumers = artifact.get("consumed_by", [])
    graph[producer] = graph.get(producer, set()) | set(consumers)
""",
    """\
{'external': ['bug_detector', 'complexity_analyst'], 'bug_detector': ['code_reviewer'], \
'complexity_analyst': ['code_reviewer'], 'code_reviewer': []}
['consumed_at', 'consumer', 'run_id']
""",
    before=f"{CLIENT}{PUBLISH.replace('/artifacts', '/artifacts/sync')}{CLOSED}",
    after="""\
print({name: sorted(graph[name]) for name in ("external", "bug_detector", "complexity_analyst", "code_reviewer")})
print(sorted(artifacts[0]["consumptions"][0]))
""",
)

TENANT = Program(
    "multi-tenant isolation",
    """\
# Publish with tenant tag
await client.post(
    "http://localhost:8344/api/v1/artifacts",
    json={
        "type": "CustomerData",
        "payload": {...},
        "tags": ["tenant:customer_123"]
    }
)

# Query only tenant's data
resp = await client.get(
    "http://localhost:8344/api/v1/artifacts?tag=tenant:customer_123"
)
tenant_artifacts = resp.json()["items"]
""",
    "[('CustomerData', ['tenant:customer_123'])]\n",
    before=CLIENT + PUBLISH,
    after='print([(one["type"], one["tags"]) for one in tenant_artifacts])\n' + CLOSED,
    changed=("{...}", '{"name": "Ada"}'),
    because="the document leaves out what is in it",
)

ORDER = Program(
    "retries with an idempotency key",
    '''\
import uuid
import httpx

async def publish_with_retry(artifact_type: str, payload: dict, max_retries: int = 3):
    """Publish artifact with idempotency key for safe retries."""
    idempotency_key = str(uuid.uuid4())  # Generate once per logical request

    async with httpx.AsyncClient() as client:
        for attempt in range(max_retries):
            try:
                response = await client.post(
                    "http://localhost:8344/api/v1/artifacts/sync",
                    json={"type": artifact_type, "payload": payload},
                    headers={"X-Idempotency-Key": idempotency_key},
                    timeout=60.0
                )
                return response.json()
            except httpx.RequestError:
                if attempt == max_retries - 1:
                    raise
                await asyncio.sleep(2 ** attempt)  # Exponential backoff
''',
    "True\n",
    before="import asyncio\n",
    after='print((await publish_with_retry("OrderRequest", {"product_id": "ABC123", "quantity": 1}))["completed"])\n',
)
"""Through a proxy that loses the first answer, so that it has something to try again."""
