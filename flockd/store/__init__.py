"""The store: rows on disk. Nothing above it knows SQL."""
