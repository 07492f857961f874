"""`hookline sources presets`: which providers are known, and a scheme to begin with."""

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hookline.cli.sources import sources_app
from hookline.config import load
from hookline.config.presets import preset, preset_names, preset_text
from hookline.errors import ConfigError


def run(*arguments: str, columns: int = 200) -> Result:
    return CliRunner().invoke(sources_app, ["presets", *arguments], env={"COLUMNS": str(columns)})


def output(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_every_preset_is_listed_by_its_name_and_its_provider() -> None:
    rows = {row["name"]: row for row in json.loads(output("--json"))}
    assert tuple(rows) == preset_names()
    assert all(row["title"] and row["docs"] for name, row in rows.items() if name != "begini")


def test_a_row_says_what_is_signed_how_and_for_how_long() -> None:
    rows = {row["name"]: row for row in json.loads(output("--json"))}
    assert rows["linear"] == {
        "name": "linear",
        "title": "Linear",
        "algorithm": "hmac-sha256",
        "signed": "{body}",
        "tolerance": "1m",
        "handshake": "none",
        "success": 200,
        "docs": ["https://linear.app/developers/webhooks"],
    }
    assert rows["okta"]["signed"] == "nothing"
    assert rows["okta"]["success"] == 204
    assert rows["okta"]["handshake"] == "GET"
    assert rows["cloudevents"]["handshake"] == "OPTIONS"
    assert rows["cloudevents"]["tolerance"] == "none"
    assert rows["standard-webhooks"]["algorithm"] == "hmac-sha256, ed25519"
    assert rows["standard-webhooks"]["signed"] == "{id}.{timestamp}.{body}"
    assert rows["zendesk"]["tolerance"] == "5m"


def test_the_table_shows_templates_as_they_are() -> None:
    text = output()
    for shown in ("linear", "Zendesk", "hmac-sha1", "{timestamp}{body}", "OPTIONS", "204"):
        assert shown in text


@pytest.mark.parametrize("name", preset_names())
def test_a_printed_preset_is_a_scheme_that_means_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = output(name)
    assert tomllib.loads(text)["schemes"] == {f"my-{name}": preset(name)}
    monkeypatch.chdir(tmp_path)
    Path("hookline.toml").write_text(text, encoding="utf-8")
    settings = load()
    own = settings.schemes[f"my-{name}"]
    assert own.title == preset(name)["title"]


@pytest.mark.parametrize("name", preset_names())
def test_a_printed_preset_quotes_its_sources(name: str) -> None:
    comments = [line for line in preset_text(name).splitlines() if line.startswith("#")]
    assert comments
    assert set(comments) <= set(output(name).splitlines())


def test_a_preset_can_be_had_as_json() -> None:
    assert json.loads(output("stripe", "--json")) == preset("stripe")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("strpe", "'strpe' is no preset; did you mean 'stripe'?"),
        ("../begini", "'../begini' is no preset; did you mean 'begini'?"),
        ("x", "'x' is no preset; `hookline sources presets` lists them"),
    ],
)
def test_an_unknown_preset_is_a_message(name: str, says: str) -> None:
    error = run(name).exception
    assert isinstance(error, ConfigError)
    assert str(error) == says
