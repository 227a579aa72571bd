"""What a model is told of the result of an MCP tool.

This module imports mcp: only agents with servers import it.
"""

from __future__ import annotations

from typing import Any

from mcp_types import CallToolResult, ContentBlock, EmbeddedResource, TextContent


def value_of(result: CallToolResult) -> Any:
    """What the model is told of a result, as plain JSON: its structured content, else its parts; one part alone."""
    structured = result.structured_content
    if structured is not None and all(isinstance(part, TextContent) for part in result.content):
        if isinstance(structured, dict) and structured.keys() == {"result"}:  # so are values wrapped
            return structured["result"]
        return structured
    parts = [_part(part) for part in result.content]
    return parts[0] if len(parts) == 1 else parts


def _part(part: ContentBlock) -> Any:
    if isinstance(part, TextContent):
        return part.text
    if isinstance(part, EmbeddedResource):
        text = getattr(part.resource, "text", None)
        return {"uri": str(part.resource.uri), "text": text} if text is not None else _left_out(part.resource)
    return _left_out(part)


def _left_out(part: Any) -> dict[str, str]:
    """What is not text, by what is known of it: a model is told in JSON."""
    said = {name: getattr(part, name, None) for name in ("type", "uri", "mime_type", "name")}
    return {name: str(value) for name, value in said.items() if value is not None}
