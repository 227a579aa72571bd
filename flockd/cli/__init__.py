"""The command line, `flockd VERB`. `serve` and `check` load a flock, the others are HTTP clients of a daemon.

Exit codes: 0 done, 1 it did not work (one sentence on standard error), 2 the command line itself is wrong.
"""

from __future__ import annotations

import click

from flockd import __version__
from flockd.cli import admin, batch, check, publish, retry, run, serve, status, tail, usage


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flockd")
def main() -> None:
    """Publish a typed artifact, and the agents that subscribe to its type wake up."""


for _verb in (
    serve.serve,
    check.check,
    publish.publish,
    run.run,
    batch.batch,
    retry.retry,
    status.status,
    tail.tail,
    usage.usage,
    usage.budgets,
    admin.verify,
    admin.backup,
    admin.reset,
):
    main.add_command(_verb)
