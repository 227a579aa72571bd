"""The keys of an agent that is a service of others, reached over HTTP."""

from __future__ import annotations

from pydantic import Field

from flockd.config.sections import Section


class ServiceKeys(Section):
    """Where the service is, and what each request carries."""

    url: str | None = Field(default=None, description='Where an "http" agent gets its runs by POST.')
    headers: dict[str, str] | None = Field(
        default=None,
        description="Headers of each request, and the environment variables with their values, as "
        '{Authorization = "PRICES_TOKEN"}.',
    )
    secret_env: str | None = Field(
        default=None,
        description="The environment variable with the secret that signs each request (Standard Webhooks). "
        "Without it: no signature.",
    )
    allow_private: bool | None = Field(
        default=None,
        description="Whether the service may be at a private address, such as 127.0.0.1. Without it: false.",
    )
