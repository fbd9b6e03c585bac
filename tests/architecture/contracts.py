"""The contracts that import-linter lacks: what a module shows, which files it may have, and the order of modules."""

import ast
from pathlib import Path
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.application.contract_utils import AlertLevel, remove_ignored_imports
from importlinter.contracts.layers import LayersContract

MODULES = "app.modules"


class PublicFace(Contract):
    """Options: `files` (every file a module may have), `face` (what others may import), both with commas between;
    `libraries` (packages inside a module that stand beside the files) and `ignore_imports`.
    """

    type_name = "public_face"
    files = fields.StringField()
    face = fields.StringField()
    libraries = fields.SetField(subfield=fields.StringField(), required=False)
    ignore_imports = fields.SetField(subfield=fields.ImportExpressionField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        options: Any = self
        files, face = ({part.strip() for part in text.split(",")} for text in (options.files, options.face))
        libraries = options.libraries or set()
        remove_ignored_imports(graph, options.ignore_imports, AlertLevel.ERROR)
        problems = [f"{library} is gone: take it out of libraries" for library in sorted(libraries - graph.modules)]
        for module in sorted(graph.find_children(MODULES)):
            own = {module, *graph.find_descendants(module)}
            shown = {module, *(f"{module}.{name}" for name in face)}
            for child in graph.find_children(module):
                if child not in libraries and child.removeprefix(f"{module}.") not in files:
                    problems.append(f"{child} is not one of the files of a module")
            for hidden in sorted(own - shown):
                for importer in sorted(graph.find_modules_that_directly_import(hidden) - own):
                    problems.append(f"{importer} imports {hidden}")
        return ContractCheck(kept=not problems, metadata={"problems": problems})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for problem in check.metadata["problems"]:
            output.print_error(f"- {problem}", bold=False)


class ModuleOrder(LayersContract):
    """Layers whose order is that of `MODULES` in `app/registry.py`, from the bottom up: the list says it once."""

    type_name = "module_order"

    def __init__(self, name: str, session_options: dict[str, Any], contract_options: dict[str, Any]) -> None:
        super().__init__(name, session_options, contract_options | {"layers": registered()[::-1]})


def registered() -> list[str]:
    """The folders of the modules in the order of the registry, read from its text in the working directory."""
    tree = ast.parse(Path("app/registry.py").read_text())
    imports = (node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module)
    folder = {
        alias.asname or alias.name: (node.module or "").split(".")[2]
        for node in imports
        for alias in node.names
        if (node.module or "").startswith(f"{MODULES}.")
    }
    listed = next(
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "MODULES"
    )
    assert isinstance(listed, ast.Tuple)
    return [folder[name.id] for name in listed.elts if isinstance(name, ast.Name)]
