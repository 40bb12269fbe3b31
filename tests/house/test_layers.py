"""Packages form one total order, and each imports only what stands to its left."""

from __future__ import annotations

import ast

from tests.harness.source import imports, modules, package_order

ORDER = package_order()
NAMES = {module.name for module in modules()}


def test_the_order_of_packages_names_every_package_once() -> None:
    there = {module.package for module in modules()} - {""}
    assert len(ORDER) == len(set(ORDER))
    assert there <= set(ORDER)


def test_a_package_imports_only_packages_to_its_left() -> None:
    wrong = []
    for module in modules():
        for each in imports(module):
            parts = each.target.split(".")
            if parts[0] == "mta" and len(parts) > 1 and parts[1] in ORDER:
                if ORDER.index(parts[1]) > ORDER.index(module.package):
                    wrong.append(f"{module.path}:{each.line}: {each.target}")
            elif parts[0] == "":
                wrong.append(f"{module.path}:{each.line}: relative import")
    assert wrong == []


def test_no_two_modules_import_each_other_even_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module in modules():
        targets = {each.target for each in imports(module)}
        # `from mta.base import text` names a module; `from mta.base.text import lower` more.
        reached = {name if name in NAMES else name.rpartition(".")[0] for name in targets}
        graph[module.name] = (reached & NAMES) - {module.name}
    while ends := [name for name, reached in graph.items() if not reached & set(graph)]:
        for name in ends:
            del graph[name]
    assert graph == {}


def test_nothing_is_imported_for_type_checkers_only() -> None:
    guilty = [module.path for module in modules() if "TYPE_CHECKING" in module.text]
    assert guilty == []


def test_a_package_file_holds_only_its_docstring() -> None:
    guilty = []
    for module in modules():
        if module.path.endswith("/__init__.py"):
            rest = [node for node in module.tree.body[1:] if not is_future(node)]
            if rest:
                guilty.append(module.path)
    assert guilty == []


def is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"
