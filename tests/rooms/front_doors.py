"""A contract for import-linter: a module of a room is imported by that room alone.

A room is a package below the root. Its front door is the package itself; other rooms import names
from there. A room inside a room has a front door of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from importlinter import Contract, ContractCheck, fields, output

if TYPE_CHECKING:
    from grimp import ImportGraph


def breaches(graph: ImportGraph, root: str) -> list[tuple[str, str]]:
    """Each import that goes past a front door: importer and imported module, in order."""
    packages = {module for module in graph.modules if graph.find_children(module)}
    rooms = {module: module.rpartition(".")[0] for module in graph.modules - packages}
    return sorted(
        (importer, imported)
        for imported, room in rooms.items()
        if room != root  # modules beside the rooms are doors themselves
        for importer in graph.find_modules_that_directly_import(imported)
        if importer != room and not importer.startswith(f"{room}.")
    )


class FrontDoorsContract(Contract):
    """Other rooms import a room through its front door."""

    root = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # as declared
        """Look at every import of the root package."""
        found = breaches(graph, str(self.root))
        return ContractCheck(kept=not found, metadata={"breaches": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """Say which imports go past a front door."""
        for importer, imported in check.metadata["breaches"]:
            room = imported.rpartition(".")[0]
            output.print_error(f"{importer} imports {imported}; import its names from {room}")
            output.new_line()
