"""The directive `commands`: the help of every command of `python -m monai_tff`, as the command itself knows it."""

from __future__ import annotations

from typing import Any

from docutils.nodes import Node
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command

from monai_tff.cli.app import COMMANDS, build_app


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[")


def _row(parameter: Any, context: Any) -> str:
    form, meaning = parameter.get_help_record(context)
    return f"| {_cell(form)} | {_cell(meaning)} |"


def command_text(name: str) -> str:
    """MyST text of one command: what it does, how it is called, and each argument and option.

    Args:
        name: as on the command line, such as `convert-scans`.

    Returns:
        A section.
    """
    group = get_command(build_app())
    command = group.commands[name]  # type: ignore[attr-defined]
    context = command.make_context(name, [], resilient_parsing=True)
    usage = " ".join(["python -m monai_tff", name, *command.collect_usage_pieces(context)])
    rows = [_row(parameter, context) for parameter in command.params if not getattr(parameter, "hidden", False)]
    table = ["| argument or option | what it means |", "|---|---|", *rows]
    return "\n".join([f"## {name}", "", command.help or "", "", "```text", usage, "```", "", *table, ""])


class CommandReference(SphinxDirective):
    """```{commands}```."""

    def run(self) -> list[Node]:
        """The nodes of the commands' sections."""
        for name in COMMANDS:
            self.env.note_dependency(f"../monai_tff/cli/{name.replace('-', '_')}.py")
        return self.parse_text_to_nodes("\n".join(map(command_text, COMMANDS)), allow_section_headings=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Tells Sphinx about the directive."""
    app.add_directive("commands", CommandReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
