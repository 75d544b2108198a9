"""RTSP logins: basic and digest (RFC 7617, 7616). Pure but for the random cnonce."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass, field

_HASHES = {"MD5": "md5", "SHA-256": "sha256"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user and a password; `repr` shows neither."""

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """How the camera wants the login."""

    scheme: str  # basic | digest
    realm: str = ""
    nonce: str = ""
    opaque: str | None = None
    algorithm: str = "MD5"
    qop: bool = False  # the `auth` quality of protection is offered


def strongest(offers: list[str]) -> Challenge | None:
    """Return the strongest of the WWW-Authenticate offers that we know, or None."""
    known = [c for c in map(_parsed, offers) if c is not None]
    return max(known, key=lambda c: (c.scheme == "digest", c.algorithm == "SHA-256"), default=None)


def _parsed(offer: str) -> Challenge | None:
    scheme, _, rest = offer.strip().partition(" ")
    said = {k.lower(): v or plain for k, v, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^\s,]+))', rest)}
    if scheme.lower() == "basic":
        return Challenge(scheme="basic", realm=said.get("realm", ""))
    algorithm = said.get("algorithm", "MD5").upper()
    if scheme.lower() != "digest" or algorithm not in _HASHES:
        return None
    return Challenge(
        scheme="digest",
        realm=said.get("realm", ""),
        nonce=said.get("nonce", ""),
        opaque=said.get("opaque"),
        algorithm=algorithm,
        qop="auth" in re.split(r"[,\s]+", said.get("qop", "")),
    )


def authorization(challenge: Challenge, login: Login, *, method: str, uri: str, cnonce: str | None = None) -> str:
    """Return the value of the Authorization field."""
    if challenge.scheme == "basic":
        return "Basic " + base64.b64encode(f"{login.user}:{login.password}".encode()).decode()

    def digest(text: str) -> str:
        return hashlib.new(_HASHES[challenge.algorithm], text.encode(), usedforsecurity=False).hexdigest()

    secret = digest(f"{login.user}:{challenge.realm}:{login.password}")
    asked = digest(f"{method}:{uri}")
    fields = {"username": login.user, "realm": challenge.realm, "nonce": challenge.nonce, "uri": uri}
    plain = ""
    if challenge.qop:
        cnonce = cnonce or secrets.token_hex(8)
        fields |= {
            "response": digest(f"{secret}:{challenge.nonce}:00000001:{cnonce}:auth:{asked}"),
            "cnonce": cnonce,
        }
        plain = ", qop=auth, nc=00000001"
    else:
        fields["response"] = digest(f"{secret}:{challenge.nonce}:{asked}")
    if challenge.opaque is not None:
        fields["opaque"] = challenge.opaque
    if challenge.algorithm != "MD5":
        plain += f", algorithm={challenge.algorithm}"
    return "Digest " + ", ".join(f'{key}="{value}"' for key, value in fields.items()) + plain
