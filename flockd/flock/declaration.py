"""What is raised where a declaration is wrong."""

from __future__ import annotations


class DeclarationError(ValueError):
    """An agent or an artifact type is declared wrongly: a sentence that names it and the mend."""
