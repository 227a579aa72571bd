"""`python -m flockd.config toml | page`: prints `config.toml` or `docs/settings.md` as the models say it."""

from __future__ import annotations

import sys

from flockd.config.pages import settings_page, toml_file

PAGES = {"toml": toml_file, "page": settings_page}


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in PAGES:
        print(
            "usage: python -m flockd.config toml > config.toml, or page > docs/settings.md", file=sys.stderr
        )
        return 2
    print(PAGES[arguments[0]](), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
