"""Keep passwords out of everything that a person or a log may see."""

from __future__ import annotations

import re

_USERINFO = re.compile(r"(?P<scheme>(?:[a-zA-Z][a-zA-Z0-9+.-]*:?)?//)(?P<user>[^/\s@:]*)(?::(?P<password>[^/\s]*))?@")
# Options of a query (`?pwd=`) or of a GStreamer element (`user-pw=`).
_SECRET_OPTION = re.compile(
    r"(?i)\b([\w-]*(?:pass|pwd|pw|token|secret|auth|key|sig|credential)[\w-]*\s*=\s*)(\"[^\"]*\"|'[^']*'|[^&\s!;\"']+)"
)
# A raw slash or @ in a password: where the user part ends can't be told, so all of it goes.
_RAW_AT = re.compile(r"(?P<scheme>(?:[A-Za-z][A-Za-z0-9+.-]*:?)?//)[^\s\"'@]*@(?P<rest>[^\s\"']*@)?")
_REDACTED = re.compile(r"[A-Za-z0-9+.-]*:?//[^/\s@:]*(:\*\*\*)?@")


def redact(text: str) -> str:
    """Return `text` without the passwords of the addresses in it: in a user part, a query or a pipeline.

    The match of a user part is greedy up to the last `@` before a slash or a space, so that a raw `@` in a password
    hides nothing.
    """
    shown = _USERINFO.sub(lambda m: f"{m['scheme']}{m['user']}{':***' if m['password'] is not None else ''}@", text)
    shown = _SECRET_OPTION.sub(r"\1***", shown)
    return _RAW_AT.sub(lambda m: m[0] if _REDACTED.fullmatch(m[0]) else f"{m['scheme']}***@", shown)
