"""The project's own source as data, for the tests that keep the house in order."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file below mta/: its name, where it is, its text and what that parses to."""

    name: str
    path: str
    text: str
    tree: ast.Module

    @property
    def package(self) -> str:
        """The package in the order of packages, or "" for mta itself."""
        return self.name.split(".")[1] if "." in self.name else ""

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement's target, as a dotted name."""

    target: str
    line: int

    @property
    def top(self) -> str:
        return self.target.split(".")[0]


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the program, in the order of paths."""
    found = []
    for file in sorted((TREE / "mta").rglob("*.py")):
        path = str(file.relative_to(TREE))
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        text = file.read_text(encoding="utf-8")
        found.append(Module(name, path, text, ast.parse(text, path)))
    return tuple(found)


def imports(module: Module) -> Iterator[Import]:
    """What the module imports, wherever the statement stands."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            start = "." * node.level + (node.module or "")
            for alias in node.names:
                yield Import(f"{start}.{alias.name}", node.lineno)


def package_order() -> list[str]:
    """The packages from left to right, as the docstring of mta/__init__.py lists them."""
    text = next(ast.get_docstring(each.tree) for each in modules() if each.name == "mta")
    words = " ".join(
        line for line in (text or "").split("\n") if " < " in line or "< " in line
    )
    return [word for word in words.replace("<", " ").split() if word]


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Each call with the name it is made by: `print`, `os.fork`, `.strip`."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name):
            yield node.func.id, node
        elif isinstance(node.func, ast.Attribute):
            base = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            yield f"{base}.{node.func.attr}", node


def tracked_files() -> list[Path]:
    """The files that belong to the project: git's list, or all of them where git is absent."""
    try:
        listed = subprocess.run(
            ["git", "-C", str(TREE), "-c", f"safe.directory={TREE}", "ls-files", "-z"],
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        hidden = {".git", ".venv", "__pycache__"}
        every = (path for path in TREE.rglob("*") if path.is_file())
        return [path for path in every if not hidden & set(path.relative_to(TREE).parts)]
    names = [name for name in listed.stdout.decode().split("\0") if name]
    return [TREE / name for name in names if (TREE / name).is_file()]
