"""The shape of the source: sizes, docstrings, careful string methods, the linters' opinion."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.harness.source import TREE, Module, calls, modules, tracked_files

MODULE_LINES = 600
FUNCTION_LINES = 40
# These know Unicode: U+0085 ends a line for splitlines, U+00A0 is a blank for strip, and a
# digit of any script is one for isdigit. On text that strangers wrote this is never meant.
UNICODE_METHODS = {
    "split",
    "rsplit",
    "strip",
    "lstrip",
    "rstrip",
    "splitlines",
    "lower",
    "upper",
    "casefold",
    "title",
    "capitalize",
    "swapcase",
    "isdigit",
    "isalpha",
    "isalnum",
    "isspace",
    "isnumeric",
    "isdecimal",
}
CAREFUL = ("mta/base/text.py", "mta/cli/bootstrap.py", "mta/cli/selftest.py")
# Such a call is right where its line makes sure of ASCII, or says why it need not.
EXCUSE = re.compile(r"# ascii: \S|\.isascii\(\)")
# Written so that this file does not match itself.
PRIVATE = re.compile(r"/wor[k]/|/roo[t]/|\.pyen[v]|py[p]i\.org|pythonhoste[d]")


def test_every_module_says_first_what_it_is_for() -> None:
    wrong = []
    for module in modules():
        first = (ast.get_docstring(module.tree) or "").split("\n")[0]
        if not first.endswith((".", ":", "?")):
            wrong.append(module.path)
    assert wrong == []


def test_every_module_reads_annotations_late() -> None:
    line = "from __future__ import annotations"
    wrong = [
        module.path
        for module in modules()
        if not module.path.endswith("__init__.py") and line not in module.lines
    ]
    assert wrong == []


def test_no_module_is_too_long() -> None:
    too_long = {m.path: len(m.lines) for m in modules() if len(m.lines) > MODULE_LINES}
    assert too_long == {}


def test_functions_fit_on_a_screen() -> None:
    wrong = []
    for module in modules():
        for node in functions(module):
            length = (node.end_lineno or node.lineno) - node.lineno + 1 - docstring_lines(node)
            if length > FUNCTION_LINES:
                wrong.append(f"{module.path}:{node.lineno}: {node.name} has {length} lines")
    assert wrong == []


def functions(module: Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(module.tree) if isinstance(node, ast.FunctionDef))


def docstring_lines(node: ast.FunctionDef) -> int:
    if ast.get_docstring(node) is None:
        return 0
    return (node.body[0].end_lineno or 0) - node.body[0].lineno + 1


def test_string_methods_that_know_unicode_are_given_characters_or_a_reason() -> None:
    wrong = []
    for module in modules():
        if module.path in CAREFUL:
            continue
        for name, call in calls(module):
            if name.rpartition(".")[2] not in UNICODE_METHODS or call.args:
                continue
            lines = module.lines[call.lineno - 1 : call.end_lineno]
            if "." in name and not any(EXCUSE.search(line) for line in lines):
                wrong.append(f"{module.path}:{call.end_lineno}: {name}()")
    assert wrong == []


def test_no_group_is_repeated_possessively() -> None:
    # Python 3.11.2, which Debian 12 has, forgets to go back when a round fails in its middle;
    # (?>(?:...)*) says the same and is right everywhere.
    found = [
        f"{module.path}:{number}"
        for module in modules()
        for number, line in enumerate(module.lines, 1)
        if re.search(r"[^(]\)[*+?]\+", line)
    ]
    assert found == []


def test_the_project_names_nobodys_machine() -> None:
    wrong = []
    for file in tracked_files():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if found := PRIVATE.search(text):
            wrong.append(f"{file.relative_to(TREE)}: {found[0]}")
    assert wrong == []


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy", "--no-error-summary"],
    ],
    ids=["ruff", "format", "mypy"],
)
def test_the_checkers_have_nothing_to_say(command: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", *command], cwd=TREE, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
