"""Storage integrations and external stages: CREATE, DROP, DESC, SHOW, LIST, REMOVE."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any

from tests.peers.snowflake.errors import SnowflakeError, compilation, denied, missing, refused, syntax, taken
from tests.peers.snowflake.lexer import Reader, Token
from tests.peers.snowflake.results import Result, said
from tests.peers.snowflake.session import Session
from tests.peers.snowflake.world import Integration, Stage

LISTED = ("name", "size", "md5", "last_modified")
STAGE_OPTIONS = {"URL", "STORAGE_INTEGRATION", "FILE_FORMAT", "COMMENT", "DIRECTORY"}
INTEGRATION_OPTIONS = {
    "TYPE", "STORAGE_PROVIDER", "ENABLED", "STORAGE_AWS_ROLE_ARN", "STORAGE_ALLOWED_LOCATIONS",
    "STORAGE_BLOCKED_LOCATIONS", "STORAGE_AWS_EXTERNAL_ID", "COMMENT",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Remote:
    """A file under a stage."""

    url: str
    size: int
    etag: str
    modified: datetime.datetime


def create_integration(session: Session, reader: Reader, *, replace: bool) -> Result:
    """``CREATE STORAGE INTEGRATION``."""
    if session.role != "ACCOUNTADMIN" and not session.world.may(session.role, "CREATE INTEGRATION", "ACCOUNT", ()):
        raise denied("account", session.world.account)
    exists = reader.skip("IF", "NOT", "EXISTS")
    (name,) = reader.name()
    options = reader.options()
    if unknown := set(options) - INTEGRATION_OPTIONS:
        raise syntax(sorted(unknown)[0])
    world = session.world
    if name in world.integrations and not replace:
        if exists:
            return said(f"{name} already exists, statement succeeded.")
        raise taken(name)
    world.integrations[name] = Integration(
        name=name, enabled=bool(options.get("ENABLED")), provider=str(options.get("STORAGE_PROVIDER", "S3")),
        allowed=[str(url) for url in options.get("STORAGE_ALLOWED_LOCATIONS", [])],
        blocked=[str(url) for url in options.get("STORAGE_BLOCKED_LOCATIONS", [])],
        role_arn=str(options.get("STORAGE_AWS_ROLE_ARN", "")),
    )  # fmt: skip
    world.owners["INTEGRATION", (name,)] = session.role
    return said(f"Integration {name} successfully created.")


def describe_integration(session: Session, reader: Reader) -> Result:
    (name,) = reader.name()
    found = session.world.integrations.get(name)
    if found is None or not session.world.may(session.role, "USAGE", "INTEGRATION", (name,)):
        raise missing("Integration", name)
    rows = [
        ("ENABLED", "Boolean", str(found.enabled).lower(), "false"),
        ("STORAGE_PROVIDER", "String", found.provider, ""),
        ("STORAGE_ALLOWED_LOCATIONS", "List", ",".join(found.allowed), "[]"),
        ("STORAGE_BLOCKED_LOCATIONS", "List", ",".join(found.blocked), "[]"),
        ("STORAGE_AWS_ROLE_ARN", "String", found.role_arn, ""),
    ]
    return Result(columns=("property", "property_type", "property_value", "property_default"), rows=rows)


def create_stage(session: Session, reader: Reader, *, replace: bool) -> Result:
    """``CREATE STAGE``: with a storage integration, whose locations hold the URL; keys in SQL are refused."""
    exists = reader.skip("IF", "NOT", "EXISTS")
    name = session.resolve(reader.name())
    options = reader.options()
    world = session.world
    _may_create(session, name)
    if name in world.stages and not replace:
        if exists:
            return said(f"{name[-1]} already exists, statement succeeded.")
        raise taken(name[-1])
    world.stages[name] = _stage(session, name, options)
    world.owners["STAGE", name] = session.role
    return said(f"Stage area {name[-1]} successfully created.")


def _may_create(session: Session, name: tuple[str, str, str]) -> None:
    session.duck.execute("SELECT 1 FROM duckdb_schemas() WHERE database_name = ? AND schema_name = ?", list(name[:2]))
    if session.duck.fetchone() is None:
        raise missing("Schema", ".".join(name[:2]))
    if not session.world.may(session.role, "CREATE STAGE", "SCHEMA", name[:2]):
        raise denied("schema", name[1])


def _stage(session: Session, name: tuple[str, str, str], options: dict[str, Any]) -> Stage:
    if {"CREDENTIALS", "AWS_KEY_ID", "ENCRYPTION"} & set(options) or "STORAGE_INTEGRATION" not in options:
        raise SnowflakeError(
            3150, "42601",
            "Use of direct credentials is not permitted for external stages in this account: REQUIRE_STORAGE_"
            "INTEGRATION_FOR_STAGE_CREATION is set. Use a storage integration instead.",
        )  # fmt: skip
    if unknown := set(options) - STAGE_OPTIONS:
        raise syntax(sorted(unknown)[0])
    url, wanted = str(options.get("URL", "")), str(options["STORAGE_INTEGRATION"])
    allowed(session, wanted, url)
    return Stage(
        name=name, url=url, integration=wanted, file_format=options.get("FILE_FORMAT", {}),
        comment=str(options.get("COMMENT", "")), created=session.world.now(),
    )  # fmt: skip


def allowed(session: Session, integration: str, url: str) -> None:
    """Refuse a location that the integration does not allow."""
    found = session.world.integrations.get(integration)
    if found is None or not session.world.may(session.role, "USAGE", "INTEGRATION", (integration,)):
        raise missing("Integration", integration)
    if not found.enabled:
        raise compilation(3151, "42601", f"Integration '{integration}' is not enabled.")
    inside = any(_under(url, one) for one in found.allowed)
    if not inside or any(_under(url, one) for one in found.blocked):
        raise compilation(
            3152, "42601", f"Location '{url}' is not allowed by integration '{integration}'. "
            f"Please use DESC INTEGRATION to check out allowed and blocked locations.",
        )  # fmt: skip


def _under(url: str, place: str) -> bool:
    return place == "*" or (url.rstrip("/") + "/").startswith(place.rstrip("/") + "/")


def drop_stage(session: Session, reader: Reader) -> Result:
    exists = reader.skip("IF", "EXISTS")
    name = session.resolve(reader.name())
    if name not in session.world.stages:
        if exists:
            return said(f"Drop statement executed successfully ({name[-1]} already dropped).")
        raise missing("Stage", ".".join(name))
    if not session.world.may(session.role, "OWNERSHIP", "STAGE", name):
        raise denied("stage", name[-1])
    del session.world.stages[name]
    return said(f"{name[-1]} successfully dropped.")


def describe_stage(session: Session, reader: Reader) -> Result:
    stage = visible(session, reader.name())
    file_format = {"TYPE": "CSV", **stage.file_format}
    rows = [("STAGE_FILE_FORMAT", key, "String", str(value), "") for key, value in sorted(file_format.items())]
    rows.append(("STAGE_LOCATION", "URL", "String", f'["{stage.url}"]', ""))
    rows.append(("STAGE_INTEGRATION", "STORAGE_INTEGRATION", "String", stage.integration, ""))
    columns = ("parent_property", "property", "property_type", "property_value", "property_default")
    return Result(columns=columns, rows=rows)


def show_stages(session: Session, reader: Reader) -> Result:
    like = re.escape(reader.take().value).replace("%", ".*").replace("_", ".") if reader.skip("LIKE") else ".*"
    columns = (
        "created_on", "name", "database_name", "schema_name", "url", "has_credentials", "owner", "comment", "type",
        "storage_integration",
    )  # fmt: skip
    rows = [
        (one.created.isoformat(), one.name[2], one.name[0], one.name[1], one.url, "N",
         session.world.owners.get(("STAGE", one.name), ""), one.comment, "EXTERNAL", one.integration)
        for one in session.world.stages.values()
        if re.fullmatch(like, one.name[2], re.IGNORECASE) and _usable(session, one)
    ]  # fmt: skip
    return Result(columns=columns, rows=rows)


def _usable(session: Session, stage: Stage) -> bool:
    return any(session.world.may(session.role, right, "STAGE", stage.name) for right in ("USAGE", "READ"))


def visible(session: Session, name: tuple[str, ...]) -> Stage:
    """A stage that the session's role may use."""
    whole = session.resolve(name)
    stage = session.world.stages.get(whole)
    if stage is None or not _usable(session, stage):
        raise missing("Stage", ".".join(whole))
    return stage


def reference(session: Session, token: Token) -> tuple[Stage, str]:
    """A stage and a path in it, of ``@stage/path`` or of a text that holds it."""
    raw = token.value
    if not raw.startswith("@"):
        if re.match(r"[a-z0-9]+://", raw):
            raise SnowflakeError(
                3150, "42601", "COPY from a URL is not permitted in this account: REQUIRE_STORAGE_INTEGRATION_FOR_"
                "STAGE_OPERATION is set. Use a stage.",
            )  # fmt: skip
        raise compilation(1011, "42601", f"invalid URL prefix found in: '{raw}'")
    if raw.startswith(("@~", "@%")) or ".%" in raw:
        raise refused("internal stages")
    match = re.match(r'@((?:"(?:[^"]|"")*"|[^"/])+)(?:/(.*))?$', raw, re.DOTALL)
    if match is None:
        raise syntax(raw, token.start)
    reader = Reader(match[1])
    name = reader.name()
    reader.done()
    return visible(session, name), match[2] or ""


def listed(session: Session, stage: Stage, path: str, pattern: str | None = None) -> list[Remote]:
    """Files whose URL begins with stage and path, by name; an expression must fit the whole path after the stage."""
    allowed_to_read(session, stage)
    prefix = f"{stage.url.rstrip('/')}/{path}"
    found = _find(session.world.files, prefix)
    if pattern is not None:
        root = len(stage.url.rstrip("/")) + 1
        found = [one for one in found if re.fullmatch(pattern, one.url[root:])]
    return sorted(found, key=lambda one: one.url)


def allowed_to_read(session: Session, stage: Stage) -> None:
    found = session.world.integrations.get(stage.integration)
    if found is None or not found.enabled or not any(_under(stage.url, one) for one in found.allowed):
        raise SnowflakeError(
            3167, "42601", f"Error assuming the role of storage integration '{stage.integration}' associated with "
            f"stage {stage.name[-1]}.",
        )  # fmt: skip


def _find(files: Any, prefix: str) -> list[Remote]:
    folder = prefix.rpartition("/")[0]
    try:
        entries = files.find(folder, detail=True, withdirs=False)
    except FileNotFoundError:
        return []
    scheme = prefix.split("://", 1)[0]
    found = [_remote(scheme, entry) for entry in entries.values() if entry["type"] == "file"]
    return [one for one in found if one.url.startswith(prefix)]


def _remote(scheme: str, entry: dict[str, Any]) -> Remote:
    return Remote(
        url=f"{scheme}://{entry['name']}", size=int(entry["size"]), etag=str(entry.get("ETag", "")).strip('"'),
        modified=entry["LastModified"],
    )  # fmt: skip


def show_files(session: Session, reader: Reader) -> Result:
    """``LIST @stage/path [PATTERN = '…']``."""
    stage, path = reference(session, reader.take())
    pattern = reader.options().get("PATTERN")
    rows = [
        (one.url, one.size, one.etag, format_datetime(one.modified.astimezone(datetime.UTC), usegmt=True))
        for one in listed(session, stage, path, pattern)
    ]
    return Result(columns=LISTED, rows=rows, numbers=frozenset({"size"}))


def remove_files(session: Session, reader: Reader) -> Result:
    """``REMOVE @stage/path [PATTERN = '…']``."""
    stage, path = reference(session, reader.take())
    found = listed(session, stage, path, reader.options().get("PATTERN"))
    for one in found:
        session.world.files.rm_file(one.url)
    return Result(columns=("name", "result"), rows=[(one.url, "removed") for one in found])
