"""Roles and what they may do: GRANT, REVOKE, and the check before a statement reaches the engine."""

from __future__ import annotations

import functools
from typing import Any

from sqlglot import exp

from tests.peers.snowflake.errors import SnowflakeError, denied, missing, syntax
from tests.peers.snowflake.lexer import Reader
from tests.peers.snowflake.results import Result, said
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.world import SUPER, Name

KINDS = {"TABLE", "VIEW", "SCHEMA", "DATABASE", "STAGE", "INTEGRATION", "WAREHOUSE", "ACCOUNT"}


def grant(session: Session, reader: Reader, *, revoke: bool) -> Result:
    """``GRANT privileges ON kind name TO ROLE r``, ``GRANT ROLE a TO USER b``, and REVOKE … FROM."""
    side = "FROM" if revoke else "TO"
    if reader.skip("ROLE"):
        return _role_of_user(session, reader, side)
    privileges = _privileges(reader)
    if reader.here.upper in {"ALL", "FUTURE"}:
        raise syntax(reader.here.raw)
    kind = reader.take().value
    if kind not in KINDS:
        raise syntax(kind)
    name = _object(session, kind, reader)
    reader.need(side)
    reader.skip("ROLE")
    (role,) = reader.name()
    if role not in session.world.roles:
        raise missing("Role", role)
    if session.role not in SUPER and session.world.owners.get((kind, name)) != session.role:
        raise denied(kind.lower(), name[-1] if name else "")
    for privilege in privileges:
        entry = (role, privilege, "TABLE" if kind == "VIEW" else kind, name)
        (session.world.grants.discard if revoke else session.world.grants.add)(entry)
        if privilege == "OWNERSHIP" and not revoke:
            session.world.owners[entry[2], name] = role
    return said("Statement executed successfully.")


def _role_of_user(session: Session, reader: Reader, side: str) -> Result:
    (role,) = reader.name()
    reader.need(side, "USER")
    (name,) = reader.name()
    user = session.world.users.get(name)
    if user is None or role not in session.world.roles:
        raise missing("User", name)
    (user.roles.add if side == "TO" else user.roles.discard)(role)
    return said("Statement executed successfully.")


def _privileges(reader: Reader) -> list[str]:
    words: list[list[str]] = [[]]
    while not reader.skip("ON"):
        if reader.skip(","):
            words.append([])
        else:
            words[-1].append(reader.take().value)
    return [" ".join(group).replace(" PRIVILEGES", "") for group in words]


def _object(session: Session, kind: str, reader: Reader) -> Name:
    if kind == "ACCOUNT":
        return ()
    name = reader.name()
    if kind in {"TABLE", "VIEW", "STAGE"}:
        return session.resolve(name)
    if kind == "SCHEMA" and len(name) == 1:
        return (str(session.conn.database), *name)
    return name


def check(session: Session, tree: exp.Expression) -> None:
    """Refuse a statement on tables that the session's role may not touch so."""
    if session.role in SUPER:
        return
    warehouse = session.warehouse
    has = warehouse is not None and session.world.may(session.role, "USAGE", "WAREHOUSE", (warehouse,))
    if not has and isinstance(tree, exp.Query | exp.DML):
        raise SnowflakeError(606, "57P03", "No active warehouse selected in the current session.")
    target, needed = written(tree)
    if isinstance(tree, exp.Create) and target is not None:
        place = session.resolve(name_of(target))
        if not session.world.may(session.role, f"CREATE {tree.kind}", "SCHEMA", place[:2]):
            raise denied("schema", place[1])
    for table in tables_of(tree):
        rights = needed if table is target else ("SELECT",)
        if not (isinstance(tree, exp.Create) and table is target):
            _check_table(session, session.resolve(name_of(table)), rights)


def tables_of(tree: exp.Expression) -> list[exp.Table]:
    ctes = {cte.alias_or_name.upper() for cte in tree.find_all(exp.CTE)}
    return [
        table
        for table in tree.find_all(exp.Table)
        if isinstance(table.this, exp.Identifier)
        and table.db.upper() != "INFORMATION_SCHEMA"
        and not (not table.db and table.name.upper().startswith("_IB_HISTORY_"))
        and not (not table.db and table.name.upper() in ctes)
    ]


def written(tree: exp.Expression) -> tuple[exp.Table | None, tuple[str, ...]]:
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    target = target if isinstance(target, exp.Table) else None
    if isinstance(tree, exp.Merge):
        kinds = {
            "INSERT" if isinstance(when.args["then"], exp.Insert) else _then(when) for when in tree.find_all(exp.When)
        }
        return target, ("SELECT", *sorted(kinds))
    if isinstance(tree, exp.Insert):
        return target, ("INSERT", "DELETE") if tree.args.get("overwrite") else ("INSERT",)
    if isinstance(tree, exp.Update | exp.Delete):
        return target, ("UPDATE" if isinstance(tree, exp.Update) else "DELETE", "SELECT")
    if isinstance(tree, exp.TruncateTable):
        return tree.expressions[0], ("TRUNCATE",)
    if isinstance(tree, exp.Create):
        return target, ()
    return target, ("OWNERSHIP",) if isinstance(tree, exp.Drop | exp.Alter) else ("SELECT",)


def _then(when: exp.When) -> str:
    return "UPDATE" if isinstance(when.args["then"], exp.Update) else "DELETE"


def _check_table(session: Session, name: Name, rights: tuple[str, ...]) -> None:
    world = session.world
    everything = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "OWNERSHIP")
    if not any(world.may(session.role, right, "TABLE", name) for right in everything):
        raise missing("Object", ".".join(name))
    for right in rights:
        if not world.may(session.role, right, "TABLE", name):
            raise denied("table", name[-1])


def name_of(table: exp.Table) -> Name:
    return tuple(_part(table.args.get(part)) for part in ("catalog", "db", "this") if table.args.get(part) is not None)


@functools.singledispatch
def _part(identifier: Any) -> str:
    return str(identifier)


@_part.register
def _(identifier: exp.Identifier) -> str:
    return str(identifier.this) if identifier.quoted else str(identifier.this).upper()
