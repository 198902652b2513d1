"""The statements that only Databricks knows (or that need no engine), read into plain commands. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.peers.databricks.sql_errors import syntax, unsupported
from tests.peers.databricks.sql_lexer import Reader

_KINDS = {"DATABASE": "SCHEMA", "VIEW": "TABLE", "LOCATION": "EXTERNAL_LOCATION"}


@dataclass(kw_only=True)
class Command:
    """What to do (``kind``), on which securable, and how."""

    kind: str
    on: str = "TABLE"
    name: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)

    def __getattr__(self, key: str) -> Any:
        try:
            return self.values[key]
        except KeyError:
            raise AttributeError(key) from None


def parse(text: str) -> Command | None:
    """A command, or None when the statement is a query or one for the engine; raises SqlError for what is no SQL."""
    reader = Reader(text)
    if reader.over:
        raise syntax("end of input")
    first = reader.peek().text.upper() if reader.peek().kind == "word" else ""
    read = _READERS.get(first)
    if read is None:
        return None
    reader.at = 1
    found = read(reader)
    if found is not None:
        reader.end()
    return found


def _securable(reader: Reader, default: str = "TABLE") -> tuple[str, tuple[str, ...]]:
    """``[TABLE|SCHEMA|…] name``."""
    if reader.take("EXTERNAL", "LOCATION"):
        return "EXTERNAL_LOCATION", reader.name()
    if reader.take("STORAGE", "CREDENTIAL"):
        return "STORAGE_CREDENTIAL", reader.name()
    if reader.peek(1).text != ".":
        word = reader.choice(
            "CATALOG", "SCHEMA", "DATABASE", "TABLE", "VIEW", "VOLUME", "FUNCTION", "CONNECTION", "METASTORE"
        )
        if word == "METASTORE":
            return word, ()
        if word:
            return _KINDS.get(word, word), reader.name()
    return default, reader.name()


def _principal(reader: Reader) -> str:
    return reader.literal() if reader.peek().kind == "string" else reader.part()


# CREATE, DROP


def _create(reader: Reader) -> Command | None:
    replace = reader.take("OR", "REPLACE")
    if reader.take("SCHEMA|DATABASE"):
        return _create_schema(reader)
    if reader.take("FUNCTION"):
        return _create_function(reader, replace)
    if not reader.take("TABLE"):
        return None
    lenient = reader.take("IF", "NOT", "EXISTS")
    name = reader.name()
    if reader.take("USING"):
        reader.part()
    how = reader.choice("DEEP", "SHALLOW") or "DEEP"
    if not reader.take("CLONE"):
        return None
    given = {"replace": replace, "lenient": lenient, "how": how, "source": reader.name()}
    return Command(kind="clone", name=name, values=given | _clone_options(reader))


def _clone_options(reader: Reader) -> dict[str, Any]:
    found: dict[str, Any] = {"version": None, "timestamp": None, "properties": {}, "location": ""}
    if reader.take("VERSION", "AS", "OF"):
        found["version"] = reader.integer()
    elif reader.take("TIMESTAMP", "AS", "OF"):
        found["timestamp"] = reader.literal()
    while not reader.over:
        if reader.take("TBLPROPERTIES"):
            found["properties"] = reader.pairs()
        else:
            reader.need("LOCATION")
            found["location"] = reader.literal()
    return found


def _create_schema(reader: Reader) -> Command:
    lenient = reader.take("IF", "NOT", "EXISTS")
    name, comment, location, properties = reader.name(), "", "", {}
    while not reader.over:
        if reader.take("COMMENT"):
            comment = reader.literal()
        elif reader.take("MANAGED", "LOCATION"):
            location = reader.literal()
        else:
            reader.need("WITH", "DBPROPERTIES")
            properties = reader.pairs()
    values = {"lenient": lenient, "comment": comment, "location": location, "properties": properties}
    return Command(kind="create_schema", on="SCHEMA", name=name, values=values)


def _create_function(reader: Reader, replace: bool) -> Command:
    lenient = reader.take("IF", "NOT", "EXISTS")
    name = reader.name()
    reader.need("(")
    parameters = []
    while not reader.take(")"):
        if parameters:
            reader.need(",")
        parameters.append((reader.part(), _type(reader)))
    returns = _type(reader) if reader.take("RETURNS") else "STRING"
    while not reader.take("RETURN"):
        if reader.over:
            raise reader.wrong()
        reader.at += 1
    values = {
        "replace": replace,
        "lenient": lenient,
        "parameters": parameters,
        "returns": returns,
        "body": reader.rest(),
    }
    return Command(kind="create_function", on="FUNCTION", name=name, values=values)


def _type(reader: Reader) -> str:
    start, depth = reader.peek().start, 0
    reader.part()
    while reader.peek().text in {"<", "("} or depth:
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(reader.peek().text, 0)
        if reader.over:
            raise reader.wrong()
        reader.at += 1
    return reader.text[start : reader.words[reader.at - 1].end]


def _drop(reader: Reader) -> Command | None:
    word = reader.choice("TABLE", "VIEW", "SCHEMA", "DATABASE", "FUNCTION")
    if not word:
        return None
    lenient = reader.take("IF", "EXISTS")
    name = reader.name()
    values = {"lenient": lenient, "view": word == "VIEW", "cascade": reader.choice("CASCADE", "RESTRICT") == "CASCADE"}
    return Command(kind="drop", on=_KINDS.get(word, word), name=name, values=values)


# ALTER


def _alter(reader: Reader) -> Command | None:
    view = reader.peek().is_word("VIEW")
    word = reader.choice("CATALOG", "SCHEMA", "DATABASE", "TABLE", "VIEW")
    if not word:
        raise unsupported(f"ALTER {reader.peek().text} is not served by this workspace.")
    on, name = _KINDS.get(word, word), reader.name()

    def command(kind: str, **values: Any) -> Command:
        return Command(kind=kind, on=on, name=name, values=values)

    if mode := reader.choice("ENABLE", "DISABLE", "INHERIT"):
        reader.need("PREDICTIVE", "OPTIMIZATION")
        return command("predictive_optimization", mode=mode)
    if reader.take("RENAME", "TO"):
        return command("rename", to=reader.name(), view=view)
    if reader.take("OWNER", "TO") or reader.take("SET", "OWNER", "TO"):
        return command("owner", principal=_principal(reader))
    if reader.take("SET", "TBLPROPERTIES"):
        return command("properties", set=reader.pairs(), unset=(), lenient=True)
    if reader.take("UNSET", "TBLPROPERTIES"):
        return command("properties", set={}, lenient=reader.take("IF", "EXISTS"), unset=tuple(reader.pairs()))
    if reader.take("SET", "ROW", "FILTER"):
        function = reader.name()
        reader.need("ON")
        return command("row_filter", function=function, columns=reader.names())
    if reader.take("DROP", "ROW", "FILTER"):
        return command("row_filter", function=(), columns=[])
    return _tags(reader, command) or _alter_column(reader, command)


def _tags(reader: Reader, command: Callable[..., Command], column: str = "") -> Command | None:
    if reader.take("SET", "TAGS"):
        return command("tags", set=reader.pairs(), unset=(), column=column)
    if reader.take("UNSET", "TAGS"):
        return command("tags", set={}, unset=tuple(reader.pairs()), column=column)
    return None


def _alter_column(reader: Reader, command: Callable[..., Command]) -> Command | None:
    if not (reader.take("ALTER|CHANGE", "COLUMN") or reader.take("ALTER")):
        return None
    column = reader.part()
    if reader.take("SET", "MASK"):
        function = reader.name()
        using = reader.names() if reader.take("USING", "COLUMNS") else []
        return command("mask", column=column, function=function, columns=using)
    if reader.take("DROP", "MASK"):
        return command("mask", column=column, function=(), columns=[])
    if reader.take("COMMENT"):
        return command("column_comment", column=column, text=reader.literal())
    return _tags(reader, command, column)


# Privileges


def _grant(reader: Reader) -> Command:
    return _privileges(reader, "grant", "TO")


def _revoke(reader: Reader) -> Command:
    return _privileges(reader, "revoke", "FROM")


def _privileges(reader: Reader, kind: str, before: str) -> Command:
    privileges: list[str] = [_privilege(reader)]
    while reader.take(","):
        privileges.append(_privilege(reader))
    reader.need("ON")
    on, name = _securable(reader)
    reader.need(before)
    return Command(kind=kind, on=on, name=name, values={"privileges": privileges, "principal": _principal(reader)})


def _privilege(reader: Reader) -> str:
    """One privilege of several words."""
    found = [reader.part()]
    while reader.peek().kind == "word" and not reader.peek().is_word("ON"):
        found.append(reader.part())
    return "_".join(found).upper()


# SHOW, DESCRIBE and the rest


def _show(reader: Reader) -> Command | None:
    if reader.take("GRANTS|GRANT"):
        principal = "" if reader.peek().is_word("ON") else _principal(reader)
        reader.need("ON")
        on, name = _securable(reader)
        return Command(kind="show_grants", on=on, name=name, values={"principal": principal})
    if reader.take("TBLPROPERTIES"):
        name = reader.name()
        key = next(iter(reader.pairs()), "") if reader.peek().text == "(" else ""
        return Command(kind="show_properties", name=name, values={"key": key})
    if reader.take("CATALOGS"):
        return Command(kind="show_catalogs", on="METASTORE", values={"like": _like(reader)})
    if reader.take("SCHEMAS|DATABASES"):
        name = reader.name() if reader.take("IN|FROM") else ()
        return Command(kind="show_schemas", on="CATALOG", name=name, values={"like": _like(reader)})
    if reader.take("TABLES"):
        name = reader.name() if reader.take("IN|FROM") else ()
        return Command(kind="show_tables", on="SCHEMA", name=name, values={"like": _like(reader)})
    if reader.take("COLUMNS"):
        reader.need("IN|FROM")
        return Command(kind="show_columns", name=reader.name())
    raise unsupported(f"SHOW {reader.rest()} is not served by this workspace.")


def _like(reader: Reader) -> str:
    return reader.literal() if reader.take("LIKE") or reader.peek().kind == "string" else "*"


def _describe(reader: Reader) -> Command | None:
    if reader.take("HISTORY"):
        name = reader.name()
        return Command(kind="history", name=name, values={"limit": reader.integer() if reader.take("LIMIT") else None})
    if reader.take("DETAIL"):
        return Command(kind="detail", name=reader.name())
    reader.take("TABLE")
    extended = reader.take("EXTENDED")
    return Command(kind="describe", name=reader.name(), values={"extended": extended})


def _comment(reader: Reader) -> Command:
    reader.need("ON")
    if reader.take("COLUMN"):
        *table, column = reader.name()
        on, name = "COLUMN", tuple(table)
    else:
        (on, name), column = _securable(reader), ""
    reader.need("IS")
    text = "" if reader.take("NULL") else reader.literal()
    return Command(
        kind="comment" if on != "COLUMN" else "column_comment",
        on=on,
        name=name,
        values={"text": text, "column": column},
    )


def _refresh(reader: Reader) -> Command:
    foreign = reader.take("FOREIGN")
    on = reader.choice("CATALOG", "SCHEMA", "TABLE") or "TABLE"
    name = reader.name()
    return Command(kind="refresh_foreign" if foreign else "refresh", on=on, name=name)


def _use(reader: Reader) -> Command:
    word = reader.choice("CATALOG", "SCHEMA", "DATABASE")
    return Command(kind="use", on=_KINDS.get(word, word or "SCHEMA"), name=reader.name())


def _copy(reader: Reader) -> Command | None:
    reader.need("INTO")
    if reader.peek().kind == "string":
        raise reader.wrong()
    raise unsupported("COPY INTO loads files into Delta tables, which this workspace does not keep.")


_READERS: dict[str, Callable[[Reader], Command | None]] = {
    "CREATE": _create, "DROP": _drop, "ALTER": _alter, "GRANT": _grant, "REVOKE": _revoke, "SHOW": _show,
    "DESCRIBE": _describe, "DESC": _describe, "COMMENT": _comment, "REFRESH": _refresh, "USE": _use, "COPY": _copy,
}  # fmt: skip
