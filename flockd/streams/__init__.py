"""Streams: cursors on the log. Every transport sees the same frames; they differ by an encoder."""
