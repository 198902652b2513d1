"""Finds side effects and crash points in the source: what changes something must stand in a ``side_effect``.

A function that changes something itself is fine when whatever calls it, directly or not, stands in one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import icebridge_provider

PACKAGE = Path(icebridge_provider.__file__).parent
LAYERS = ("steps", "engines", "state")  # stores and catalogs are what the ports stand for: their callers are looked at

# Methods of ports (and of what stands behind them) that change something, by the names of what they are called on.
CATALOG = {"create_namespace", "register", "rename", "drop_entry", "set_properties"}
CATALOGS = {"catalog", "source", "target"}
GRANTS = {"change", "protect"}
FILES = {"write", "delete", "upload"}
QUEUE = {"create", "emit", "claim", "finish", "give_back", "note", "release", "reject"}
SYNC = {"prepare", "apply", "settle"}
RUNNERS = {"source", "target", "runner", "work"}
STATEMENTS = {"start", "publish", "cancel"}  # of a runner of SQL; and "run", but for statements that only read:
READS = {
    "look_load", "list_stage", "tables_of", "comment_of", "schema_named", "source_columns", "read_probe", "_shape",
    "describe_table", "describe_stage", "measure",
}  # fmt: skip
STORES = {"store", "target", "stores"}
DATABASE = {"insert", "update", "delete", "upsert", "insert_once"}
OS = {"unlink", "replace", "rename", "rmdir", "makedirs", "mkdir", "write_text", "write_bytes", "rmtree", "symlink_to"}


@dataclass(frozen=True, kw_only=True, order=True)
class Effect:
    """A call that changes something, and whether it stands in a ``side_effect``."""

    file: str
    function: str
    line: int
    call: str
    guarded: bool

    @property
    def place(self) -> str:
        return f"{self.file}:{self.function}:{self.call}"


@dataclass(frozen=True, kw_only=True)
class Use:
    """A function's name where it is called, or handed on to be called."""

    name: str
    file: str
    function: str
    guarded: bool


def unguarded() -> list[Effect]:
    """Return the changing calls of the layers that act for which no ``side_effect`` stands anywhere."""
    texts = {
        str(path.relative_to(PACKAGE)): path.read_text()
        for layer in LAYERS
        for path in sorted((PACKAGE / layer).rglob("*.py"))
        if "migrations" not in path.parts
    }
    return unguarded_in(texts)


def unguarded_in(texts: Mapping[str, str]) -> list[Effect]:
    """Return the same for given sources, by file name."""
    finders = [_Finder(file).look_through(text) for file, text in texts.items()]
    uses = [use for finder in finders for use in finder.uses]
    return [
        effect
        for finder in finders
        for effect in finder.found
        if not effect.guarded and not _always_guarded(effect.function, effect.file, uses, frozenset())
    ]


def _always_guarded(function: str, file: str, uses: list[Use], seen: frozenset[str]) -> bool:
    """Say whether every use of a function stands in a ``side_effect``, or in a function of which that is true."""
    name = function.rsplit(".", maxsplit=1)[-1]
    if name in seen:
        return True
    stem = Path(file).stem
    found = [
        use
        for use in uses
        if (use.name == name and (not name.startswith("_") or use.file == file)) or use.name == f"{stem}.{name}"
    ]
    return bool(found) and all(
        use.guarded or _always_guarded(use.function, use.file, uses, seen | {name}) for use in found
    )


def points() -> set[str]:
    """Return the names given to ``side_effect`` in the whole package; parts that are computed show as ``*``."""
    found: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            found |= set(_names_of(node))
    return found


def _names_of(node: ast.AST) -> Iterator[str]:
    if not isinstance(node, ast.Call) or not node.args:
        return
    name = (
        node.func.id
        if isinstance(node.func, ast.Name)
        else node.func.attr
        if isinstance(node.func, ast.Attribute)
        else ""
    )
    on_work = isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value).endswith("work")
    if name != "side_effect" and not (name == "write" and on_work):
        return
    match node.args[0]:
        case ast.Constant(value=str(text)):
            yield text
        case ast.JoinedStr(values=parts):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
        case _:
            return


class _Finder(ast.NodeVisitor):
    def __init__(self, file: str) -> None:
        self._file = file
        self._functions: list[str] = []
        self._guards = 0
        self.found: list[Effect] = []
        self.uses: list[Use] = []

    def look_through(self, text: str) -> _Finder:
        self.visit(ast.parse(text))
        return self

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self._use(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name):
            self._use(node.attr if node.value.id == "self" else ast.unparse(node))
        self.generic_visit(node)

    def _use(self, name: str) -> None:
        self.uses.append(Use(name=name, file=self._file, function=".".join(self._functions), guarded=self._guards > 0))

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.append(node.name)
        guards, self._guards = self._guards, 0  # a function that is only defined here runs who knows where
        self.generic_visit(node)
        self._guards = guards
        self._functions.pop()

    def visit_With(self, node: ast.With) -> None:
        guarded = any("side_effect" in ast.unparse(item.context_expr) for item in node.items)
        for item in node.items:
            self.visit(item.context_expr)
        self._guards += guarded
        for statement in node.body:
            self.visit(statement)
        self._guards -= guarded

    def visit_Call(self, node: ast.Call) -> None:
        if _changes(node):
            name = ast.unparse(node.func)
            function = ".".join(self._functions) or "<module>"
            self.found.append(
                Effect(file=self._file, function=function, line=node.lineno, call=name, guarded=self._guards > 0)
            )
        self.generic_visit(node)


def _changes(node: ast.Call) -> bool:
    if isinstance(node.func, ast.Name):
        return node.func.id in {"rmtree", "perform"}
    if not isinstance(node.func, ast.Attribute):
        return False
    on, name = ast.unparse(node.func.value).split(".")[-1].removesuffix("()").lstrip("_"), node.func.attr
    return (
        (name in CATALOG and on in CATALOGS)
        or (name in GRANTS and on == "access")
        or (name in FILES and on in STORES)
        or (name in QUEUE and on == "queue")
        or (name in SYNC and on == "target")
        or (name in STATEMENTS and on in RUNNERS)
        or (name == "run" and on in RUNNERS and not READS & _words(node.args[1:]))
        or (name in DATABASE and on == "sa")
        or (name in OS and (on in {"os", "shutil"} or (name not in {"replace", "rename"})))
    )


def _words(nodes: list[ast.expr]) -> set[str]:
    inner = [item for node in nodes for item in ast.walk(node)]
    return {item.attr if isinstance(item, ast.Attribute) else item.id for item in inner
            if isinstance(item, ast.Attribute | ast.Name)}  # fmt: skip
