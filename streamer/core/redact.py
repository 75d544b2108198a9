"""Keep passwords out of everything that a person or a log may see."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)(?P<user>[^/\s@:]*)(?::(?P<password>[^/\s]*))?@")


def redact(text: str) -> str:
    """Return `text` with the password of every URL in it replaced by `***`.

    The match is greedy up to the last `@` before a slash or a space, so that a raw `@` in a password hides nothing.
    """
    return _USERINFO.sub(lambda m: f"{m['scheme']}{m['user']}{':***' if m['password'] is not None else ''}@", text)
