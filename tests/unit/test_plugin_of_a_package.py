"""A package's own plug-in: the example of docs/writing-a-plugin.md, installed and used."""

import hmac
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from hookline import config
from hookline.edge.schemes.event_keys import Envelope
from hookline.edge.schemes.incoming import Incoming
from hookline.edge.schemes.keys import WrongKey
from hookline.edge.schemes.plugin import find_plugin
from hookline.edge.schemes.scheme import Scheme
from hookline.edge.schemes.verdict import Refusal, Verified
from hookline.errors import ConfigError
from unit.plugin_requests import flipped

DOCUMENT = Path(__file__).parents[2] / "docs" / "writing-a-plugin.md"
BODY = b'{"type":"order.made"}'


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example as an installed package."""
    (code,) = blocks("python")
    (entry_points,) = tomllib.loads(blocks("toml")[0])["project"]["entry-points"].items()
    group, points = entry_points
    (tmp_path / "acme_hookline.py").write_text(code, encoding="utf-8")
    metadata = tmp_path / "acme_hookline-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-hookline\nVersion: 1.0\n")
    lines = [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("acme_hookline", None)


def request(body: bytes = BODY, tenant: bytes = b"shop") -> Incoming:
    message = b"%s:%d:%s" % (tenant, len(BODY), BODY)
    signature = hmac.digest(b"secret", message, "sha256").hex().encode()
    return Incoming("POST", "", [(b"x-acme-signature", signature), (b"x-acme-id", b"7")], body, 0)


@pytest.mark.usefixtures("installed")
def test_the_documented_plugin_is_found_and_verifies() -> None:
    settings = tomllib.loads(blocks("toml")[1])
    declared = config.Scheme(**settings["schemes"]["acme"])
    source = config.Source(**settings["sources"]["orders"])
    scheme = Scheme(declared, [b"old", b"secret"], options=source.options)
    verdict = scheme.verify(request())
    assert verdict == Verified()
    assert scheme.read(scheme.context(request(), Verified())) == Envelope("order.made", ("7",), "")
    for altered in flipped(BODY):
        assert scheme.verify(request(altered)) is Refusal.BAD_SIGNATURE
    assert scheme.verify(request(tenant=b"other")) is Refusal.BAD_SIGNATURE
    assert scheme.verify(request()._replace(headers=[])) is Refusal.MISSING_SIGNATURE


@pytest.mark.usefixtures("installed")
def test_the_documented_plugin_tells_mistakes() -> None:
    with pytest.raises(ConfigError, match="needs tenant"):
        find_plugin("acme")([b"secret"], {})
    with pytest.raises(WrongKey):
        find_plugin("acme")([b""], {"tenant": "shop"})


def test_a_plugin_that_no_package_offers_is_an_error_that_names_those_that_are_there() -> None:
    with pytest.raises(
        ConfigError, match=r"'acme': no such plugin; known are adyen, hubspot, mailgun, paypal, twilio"
    ):
        find_plugin("acme")
