"""The docs say what the code does: every setting, function, error and command."""

import re
import runpy
from pathlib import Path

import pytest

from aurora_ml_proxy.cli import parser
from aurora_ml_proxy.config import Settings
from aurora_ml_proxy.errors import ERRORS
from aurora_ml_proxy.functions import FUNCTIONS, LANGUAGES

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    page
    for folder in (".", "docs", "tests", "examples")
    for page in ROOT.glob(f"{folder}/*.md")
)
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def read(name):
    return (ROOT / name).read_text("utf-8")


def prose(path):
    return FENCE.sub("", path.read_text("utf-8"))


def anchor(heading):
    """As GitHub makes it."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def pages():
    return pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def test_generated_text_is_up_to_date():
    generate = runpy.run_path(str(ROOT / "docs" / "generate.py"))
    assert generate["behind"]() == []


@pages()
def test_links_resolve(page):
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        path, _, wanted = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} is not there"
        if wanted:
            headings = HEADING.findall(prose(target))
            assert wanted in map(anchor, headings), f"{link}: no such heading"


@pages()
def test_one_sentence_a_line(page):
    for line in prose(page).splitlines():
        if line.startswith(("|", "-", "#", "<", " ")):
            continue
        assert not re.search(r"[a-z)`]\. [A-Z]", line), line


def test_every_page_is_listed():
    listed = read("docs/README.md")
    for page in (ROOT / "docs").glob("*.md"):
        if page.name != "README.md":
            assert f"]({page.name})" in listed


@pytest.mark.parametrize("section", Settings.model_fields)
def test_every_setting_is_documented(section):
    text = read("docs/configuration.md")
    part = text.partition(f"### `[{section}]`")[2].partition("### ")[0]
    for key in Settings.model_fields[section].annotation.model_fields:
        assert f"| `{key}` |" in part


def test_settings_named_in_prose_exist():
    names = r"`(listen|upstream|sentiment|comprehend|admin|log)\.([a-z_]+)"
    for page in PAGES:
        for section, key in re.findall(names, page.read_text("utf-8")):
            fields = Settings.model_fields[section].annotation.model_fields
            assert key in fields, f"{page.name}: {section}.{key}"


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_is_documented(name):
    assert f"| `{name}` | {ERRORS[name].errno} |" in read("docs/errors.md")


def test_errors_named_in_prose_exist():
    for name in re.findall(r"^- `([A-Z]\w+)`", read("docs/errors.md"), re.MULTILINE):
        assert name in ERRORS


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_documented(name):
    assert f"`{name}`" in read("docs/functions.md")


def test_every_language_is_documented():
    text = read("docs/functions.md")
    assert all(f"`{code}`" in text for code in LANGUAGES)


def commands():
    actions = [a for a in parser()._actions if a.choices]
    return dict(actions[0].choices)


@pytest.mark.parametrize("command", commands())
def test_every_command_and_option_is_documented(command):
    text = "".join(page.read_text("utf-8") for page in PAGES)
    assert f"aurora-ml-proxy {command}" in text or f"`{command}`" in text
    for action in commands()[command]._actions:
        for option in action.option_strings:
            if option.startswith("--") and option != "--help":
                assert option in text


def test_the_readme_fits_on_two_pages():
    assert len(read("README.md").splitlines()) < 150


def test_makefile_targets_named_in_the_docs_exist():
    targets = re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE)
    for page in PAGES:
        for target in re.findall(r"`make ([a-z]+)", page.read_text("utf-8")):
            assert target in targets, f"{page.name}: make {target}"
