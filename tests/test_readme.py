"""What the README says is so."""

from __future__ import annotations

import re
from pathlib import Path

from powertools_otel._settings import VARIABLES, Settings

HERE = Path(__file__).parent.parent
README = (HERE / "README.md").read_text()
ROW = re.compile(
    r"^\| `POWERTOOLS_OTEL_(\w+)` \| `?([^|`]*)`? \| (.+) \|$", re.MULTILINE
)


def as_text(value):
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value == {} else str(value)


def test_every_setting_is_in_the_table_with_its_default():
    """The table of settings is the settings, no more and no less."""
    rows = {name: default.strip() for name, default, _ in ROW.findall(README)}
    expected = {
        variable: as_text(getattr(Settings(), field))
        for variable, field in VARIABLES.items()
    }

    assert rows == {"XRAY_CONTEXT": "auto", **expected}


def test_every_link_to_a_file_leads_somewhere():
    """Relative links name files that are there."""
    links = re.findall(r"\]\((?!https?:|#)([^)]+)\)", README)

    assert links
    assert [link for link in links if not (HERE / link).exists()] == []


def test_python_blocks_compile():
    """Each Python block is valid Python."""
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)

    assert blocks
    for block in blocks:
        compile(block, "README.md", "exec")


def test_commands_are_targets_of_the_makefile():
    """Each make command that is named exists."""
    targets = set(re.findall(r"^(\w+):", (HERE / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"`?make (\w+)", README)) - {"nothing", "and"} <= targets
