"""The parts of the documentation that the program tells itself: its commands, its configuration, and the tables of its results."""

import re
from pathlib import Path

import typer
import yaml
from typer.cli import get_docs_for_click

from amp_tf.cli import app
from amp_tf.files import write_text
from amp_tf.training.config import TrainingConfig
from reproductions import study
from reproductions.report import BLOCKS, block


def write(folder: Path) -> None:
    """Write every part as Markdown; a file that would not change is left alone, so that Sphinx reads no page twice."""
    examined = study.records()
    parts = {
        "command-line": command_line(), "configuration": configuration(), "physics": f"{study.overview(examined)}\n",
        "study": f"{study.beside_the_study(examined)}\n",
    } | {name: block(name) for name in BLOCKS}  # fmt: skip
    folder.mkdir(exist_ok=True)
    for name, text in parts.items():
        path = folder / f"{name}.md"
        if not (path.is_file() and path.read_text() == text):
            write_text(path, text)


def command_line() -> str:
    """Every command with its arguments and options."""
    command = typer.main.get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command, info_name="amp-tf"), name="amp-tf")
    return re.sub(r"^###", "##", text, flags=re.M)


def configuration() -> str:
    """The keys of a training configuration."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for name, entry in TrainingConfig.model_fields.items():
        default = "required" if entry.is_required() else "" if entry.default_factory else _shown(entry.default)
        lines.append(f"| `{name}` | {default} | {entry.description} |")
    return "\n".join(lines) + "\n"


def _shown(value: object) -> str:
    """A default value as YAML has it."""
    return yaml.safe_dump(value).split("\n")[0]
