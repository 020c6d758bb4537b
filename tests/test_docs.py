"""README and the documentation say what is so: examples run, commands and options exist, links lead somewhere, tables are up to date.

The tutorials run, and links within the documentation are checked, when it is built: ``make docs``.
"""

import importlib
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from reproductions import report

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("[!_]*.md"))]
PAGES = [page for page in PAGES if "_generated" not in page.parts]


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


def commands():
    """Each command of a shell block: page, words."""
    for page in PAGES:
        for block in blocks(page, "sh"):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
                    words = words[1:]
                if words:
                    yield name(page), words


def test_the_examples_run(tmp_path):
    """All of them one after the other, as a user would paste them, in a process of their own: some set TensorFlow up."""
    pages = [page for page in PAGES if blocks(page, "python")]
    assert README in pages
    assert len(pages) > 5
    code = "\n".join(f"print({name(page)!r}, flush=True)\n{block}" for page in pages for block in blocks(page, "python"))
    (tmp_path / "examples.py").write_text(code)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, tmp_path / "examples.py"], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]


@pytest.mark.parametrize(("page", "words"), [pytest.param(*command, id=" ".join(command[1])[:60]) for command in commands()])
def test_commands_exist(page, words):
    program = words[0].removeprefix(".venv/bin/")
    if program == "make":
        for target in words[1:]:
            if "=" not in target:
                check_target(target)
    elif program == "amp-tf":
        parse(importlib.import_module("amp_tf.cli").app, words[1:])
    elif program == "python":
        assert words[1] == "-m"
        parse(importlib.import_module(words[2]).app, words[3:])
    else:
        assert program in ("pip", "dask", "source", "export", "sander"), f"{page}: {program}"


def check_target(target):
    if target.startswith("reproduce-"):
        assert (ROOT / "reproductions" / f"{target.removeprefix('reproduce-').replace('-', '_')}.py").is_file()
    else:
        assert re.search(rf"^([\w-]+ )*{target}( [\w-]+)*:", (ROOT / "Makefile").read_text(), re.M), target


def parse(app, words):
    """Parse a command line as the program would, without running it."""
    command = typer.main.get_command(app)
    if hasattr(command, "commands"):
        _, command, words = command.resolve_command(typer.Context(command), words)
    command.make_context(command.name, list(words))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_targets_of_make_exist(page):
    for target in re.findall(r"`make ([a-z][\w-]*)", page.read_text()):
        check_target(target)


@pytest.mark.parametrize("page", [README, ROOT / "CONTRIBUTING.md"], ids=name)
def test_links_lead_to_files(page):
    for path in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / path).is_file(), path


def test_readme_is_a_page_with_the_numbers_of_the_result_files():
    text = README.read_text()
    assert len(text.splitlines()) <= 150
    assert report.filled(text) == text, "the table is not that of the result files: make readme"
