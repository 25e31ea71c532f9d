"""What a file calls the modules that rewrites need."""

from __future__ import annotations

import ast

from ..modules import ROOTS, module_path

__all__ = ["Names"]


class Names:
    """What a file calls the modules that rewrites need.

    Args:
        tree: of the file.
    """

    def __init__(self, tree: ast.Module) -> None:
        self._modules: dict[str, str] = {}
        self._taken = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._taken.add((alias.asname or alias.name).split(".")[0])
                    if alias.asname or "." not in alias.name:
                        self._note(alias.name, alias.asname or alias.name)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                for alias in node.names:
                    self._taken.add(alias.asname or alias.name)
                    path = f"{node.module}.{alias.name}"
                    self._note(path, alias.asname or alias.name)

    def _note(self, path: str, name: str) -> None:
        if module_path(path) in ROOTS:
            path = "nnx_compat.nnx"  # where it will come from, or what stands for it
        self._modules.setdefault(path, name)

    def of(self, module: str) -> str:
        """The name of a module in the file, ``""`` when it is not imported."""
        return self._modules.get(module, "")

    def free(self, name: str) -> str:
        """The name for an import that has to be added."""
        if name == "nc" and "nc" in self._taken and "nnx_compat" not in self._modules:
            return "nnx_compat"
        return name
