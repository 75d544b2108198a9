from __future__ import annotations

from streamer.capture.rtsp_auth import Challenge, Login, authorization, strongest

LOGIN = Login(user="Mufasa", password="Circle of Life")  # noqa: S106  the RFC's own example
NONCE = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"


def challenge(**more: object) -> Challenge:
    opaque = "FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"
    facts = {"scheme": "digest", "realm": "http-auth@example.org", "nonce": NONCE, "opaque": opaque, "qop": True}
    return Challenge(**{**facts, **more})  # type: ignore[arg-type]


def test_digest_gives_the_answers_of_rfc_7616() -> None:
    cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
    md5 = authorization(challenge(), LOGIN, method="GET", uri="/dir/index.html", cnonce=cnonce)
    assert 'response="8ca523f5e9506fed4657c9700eebdbec"' in md5
    sha = authorization(challenge(algorithm="SHA-256"), LOGIN, method="GET", uri="/dir/index.html", cnonce=cnonce)
    assert 'response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"' in sha
    assert "algorithm=SHA-256" in sha


def test_the_strongest_offer_that_we_know_is_taken() -> None:
    offers = [
        'Basic realm="x"',
        'Digest realm="a, b", nonce="n1", algorithm=MD5',
        'Digest realm="a, b", nonce="n2", algorithm=SHA-512-256, qop="auth"',
    ]
    best = strongest(offers)
    assert best is not None
    assert (best.scheme, best.realm, best.nonce, best.qop) == ("digest", "a, b", "n1", False)
    assert strongest(["Negotiate"]) is None
    basic = strongest(offers[:1])
    assert basic is not None
    assert authorization(basic, Login(user="u", password="p"), method="X", uri="y") == "Basic dTpw"  # noqa: S106


def test_a_login_is_not_shown() -> None:
    assert "Circle" not in repr(LOGIN)
