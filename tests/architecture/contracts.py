"""The contract that import-linter lacks: what a module shows of itself, and which files it may have."""

from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.application.contract_utils import AlertLevel, remove_ignored_imports

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
