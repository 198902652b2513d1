"""Every command, once: ``airflow icebridge …`` and the console script ``icebridge`` are both made of this.

Imported at every ``airflow`` call, so it imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One argument: its flags (or a bare name for a positional one) and what ``argparse`` is told about it."""

    flags: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command. ``run`` is ``module:function`` below ``icebridge_provider.cli.commands``; a group has children."""

    name: str
    help: str
    run: str = ""
    options: tuple[Option, ...] = ()
    children: tuple[Command, ...] = ()


def _option(*flags: str, **settings: Any) -> Option:
    return Option(flags=flags, settings=settings)


def _flag(*flags: str, text: str) -> Option:
    return _option(*flags, help=text, action="store_true")


def _list(*flags: str, text: str, metavar: str) -> Option:
    return _option(*flags, help=text, metavar=metavar, nargs="+", action="extend", default=None)


JSON = _flag("--json", text="print one JSON document on standard output and nothing else")
HERE = _flag("--here", text="do it in this process instead of starting a DAG run")
WAIT = _flag("--wait", text="wait until the run is over; exit 1 when it failed")
UNTIL_APPROVAL = _flag("--until-approval", text="wait, but no longer than until a person is asked")
PLAN = _option("plan", metavar="PLAN", help="id of the plan")
MAYBE_PLAN = _option("plan", metavar="PLAN", nargs="?", help="id of the plan; the newest when left out")
CONNECTION = _option("conn_id", metavar="CONN_ID", help="connection of the catalog")
TABLES = _list("--tables", metavar="GLOB", text="tables, as globs over namespace.table (default: all)")
OF_PLAN = _list("--tables", metavar="GLOB", text="only these tables of the plan, as globs over namespace.table")


PUBLIC_KEYS = _list("--public-key", metavar="FILE", text="PEM files of keys to trust, besides the configured one")


def _command(name: str, text: str, run: str, *options: Option) -> Command:
    return Command(name=name, help=text, run=run, options=(*options, JSON))


_PLAN_OPTIONS = (
    _option("--source", metavar="CONN_ID", help="connection of the catalog to move from"),
    _option("--target", metavar="CONN_ID", help="connection of the catalog to move to"),
    TABLES,
    _option("--method", help="auto, or a copy method for all tables (default: auto)", default="auto",
            choices=("auto", "copy_files", "insert_select", "register")),
    _list("--mapping", metavar="RULE", text="rules: explicit:a.b=c.d, prefix:old.=new., suffix:…, regex:/…/ => …"),
    _list("--accept-losses", metavar="LOSS", text="ids of losses you accept"),
    _option("--approval", help="whether a person approves the cut-over (default: required)",
            choices=("required", "none"), default="required"),
    _flag("--allow-zero-copy", text="allow the method register, which shares files with the source"),
    _option("--max-cost", type=float, metavar="MONEY", help="refuse a plan that costs more"),
    _option("--deadline", metavar="TIME", default="", help="refuse a plan that cannot be done by this ISO 8601 time"),
    _option("--cutover-window", metavar="WINDOW", default="", help="when to swap tables: cron|minutes|time zone"),
    _option("--wave-tables", type=int, metavar="N", help="most tables in a wave"),
    _option("--managed-location", metavar="URL", default="", help="Databricks: where schemas made for it are stored"),
    _option("--cluster", metavar="JSON", default="", help="Databricks: cluster keys that this migration has otherwise"),
    _option("--consumer-names", choices=("new", "keep"), default="new",
            help="keep: refuse a plan whose tables' consumers must learn new names (default: new)"),
    _option("--plan-id", metavar="ID", default="", help="id of the plan (default: made from the time)"),
    _option("--inventory", metavar="ID", default="", help="plan on this inventory instead of taking a new one"),
    _option("--from-csv", metavar="FILE", help="take selection and mapping from this CSV file"),
    _option("--csv", metavar="FILE", help="write selection and mapping as CSV"),
    _option("--out", metavar="FILE", help="write the plan to a file to edit and hand back, instead of keeping it"),
    _option("--reseal", metavar="FILE", help="accept a plan file that was edited: check it and write its new digest"),
    _flag("--dry-run", text="print the plan and keep nothing"),
)  # fmt: skip

SYNC = _option("--sync", metavar="NAME", default="", help="the sync (default: the only one there is)")
EVENT = _option("event_id", metavar="EVENT", help="id of the event")
_EMIT_OPTIONS = (
    _option("operation", metavar="OPERATION", help="INSERT, UPDATE or DELETE"),
    _option("source", metavar="SOURCE", help="table whose rows are meant, catalog.schema.table"),
    _option("target", metavar="TARGET", help="table they are written into, schema.table"),
    _list("--keys", metavar="COLUMN", text="columns that identify a row; needed for UPDATE and DELETE"),
    _list("--where", metavar="COLUMN=TEXT", text="only rows with just this value"),
    _option("--priority", type=int, metavar="N", default=0, help="higher ones are applied first (default: 0)"),
    _option("--rows", type=int, metavar="N", help="how many rows are expected (default: those of the source)"),
    _list("--metadata", metavar="NAME=TEXT", text="kept with the event"),
    _option("--event-id", metavar="ID", default="", help="id of the event (default: a new one)"),
    SYNC,
)

_SHARED = (
    _option("tables", metavar="TABLE", nargs="*", help="catalog.schema.table, or a line such as 'main.sales.orders ->"
            " DB.PUBLIC.ORDERS; mode=upsert; keys=id'"),
    _option("--file", metavar="FILE", default="", help="such lines, or JSON, in a file"),
    _option("--source", metavar="CONN_ID", default="", help="Databricks connection with the SQL warehouse"),
    _option("--target", metavar="CONN_ID", default="", help="Snowflake connection"),
    _option("--storage", metavar="CONN_ID", default="", help="catalog connection with the keys of the bucket (default:"
            " this host's own rights)"),
    _option("--stage", metavar="DB.SCHEMA.STAGE", default="", help="stage over the bucket that is exported to"),
    _option("--location", metavar="URL", default="", help="folder for the files (default: the stage's own)"),
    _option("--control", metavar="DB.SCHEMA", default="", help="schema of ICEBRIDGE_LOADS and of staging tables"
            " (default: the stage's)"),
    _option("--mode", choices=("append", "replace", "upsert"), default="append", help="(default: append)"),
    _list("--keys", metavar="COLUMN", text="columns that identify a row, for an upsert"),
    _option("--where", metavar="CONDITION", default="", help="only rows that fit, on the tables' columns"),
    _list("--value", metavar="NAME=TEXT", text="value of a :NAME in the condition"),
    _option("--limit", metavar="N", default="", help="most rows of a table (default: as the preset says)"),
    _option("--preset", choices=("production", "poc"), default="production",
            help="poc: 1000 rows, no retries, the first failure ends the run (default: production)"),
    _option("--publish", choices=("rewrite", "swap"), default="rewrite", help="how replace does it (default: rewrite)"),
    _flag("--upper", text="write the names of new columns in capitals"),
    _flag("--no-add-columns", text="refuse a target that lacks a column"),
    _flag("--no-widen-columns", text="refuse a target with a column that is too short"),
    _option("--run-id", metavar="ID", default="", help="id of the run (default: made from the time)"),
)  # fmt: skip
_USE = (
    _flag("--zero-copy", text="prefer reading the table where it is"),
    _flag("--statements", text="show the statements of the way to take"),
    _option("--bytes", type=int, metavar="N", help="size of a table that does not tell it"),
    _option("--changed-bytes", type=int, metavar="N", help="what one run exports (default: the whole table)"),
    _option("--scanned-bytes", type=int, metavar="N", help="read by Snowflake's users a month (default: all, daily)"),
    _option("--runs-a-month", type=int, metavar="N", default=30, help="(default: %(default)s)"),
    _flag("--other-region", text="both accounts are in different regions"),
    _flag("--open-to-snowflake", text="Snowflake reaches the workspace's Iceberg REST endpoint"),
    _option("--volume", metavar="NAME", default="", help="external volume of Snowflake that covers the files"),
)  # fmt: skip

COMMANDS: tuple[Command, ...] = (
    _command("init", "Prepare this installation: ledger, pool, DAGs", "init:init",
             _option("--slots", type=int, metavar="N", help="slots of the pool (default: max_parallel_writers)"),
             _flag("--keep-paused", text="do not unpause the DAGs")),
    _command("limits", "Show what all workers share, or change it while they run", "limits:limits",
             _option("--writers", type=int, metavar="N", help="tables copied at once: the slots of the pool"),
             _option("--commits", type=float, metavar="N", help="catalog commits a minute"),
             _flag("--configured", text="go back to what is configured, where nothing else is given")),
    _command("doctor", "Check this installation; every fault with its fix", "doctor:doctor",
             _list("--connections", metavar="CONN_ID", text="also check what these catalog connections may do")),
    _command("check-connection", "List, read, write and delete a probe; name the missing right",
             "catalog:check_connection", CONNECTION),
    _command("inventory", "Read what a catalog holds, from metadata alone", "catalog:inventory", CONNECTION, TABLES,
             _flag("--no-inspect", text="do not read manifests (quicker; broken tables are not found)")),
    _command("assess", "Write one HTML file: what goes, what is lost, what is broken, price and hours",
             "catalog:assess", CONNECTION, TABLES,
             _option("--target", metavar="CONN_ID", default="", help="catalog to move to, whose abilities then count"),
             _option("--inventory", metavar="ID", default="", help="assess this inventory instead of taking a new one"),
             _option("--out", metavar="FILE", default="icebridge-assessment.html", help="(default: %(default)s)")),
    _command("plan", "Plan a migration", "plan:plan", *_PLAN_OPTIONS),
    _command("apply", "Start the migration of a plan", "apply:apply",
             _option("plan", metavar="PLAN|FILE", help="id of a plan, or a plan file"), WAIT, UNTIL_APPROVAL),
    _command("status", "Where every table of a plan is", "status:status", MAYBE_PLAN,
             _flag("--all", text="list all plans"),
             _flag("--leftovers", text="also look into the target for what the plan left behind")),
    _command("consumers", "List who reads or writes tables, with old and new names, and what is not known of it",
             "consumers:consumers",
             _option("tables", metavar="TABLE", nargs="*", help="tables, as globs over namespace.table (default: all"
                     " of the plan)"),
             _option("--plan", metavar="PLAN", default="", help="id of the plan, which says the new names"),
             _option("--source", metavar="CONN_ID", default="", help="without a plan: connection of the catalog"),
             _option("--days", type=int, metavar="N", default=90, help="how far to look back (default: %(default)s)")),
    _command("retry", "Go on with a plan: what is done stays done", "apply:retry", PLAN, WAIT,
             UNTIL_APPROVAL, HERE),
    _command("rollback", "Undo the cut-over of a plan, from any point", "undo:rollback", PLAN, OF_PLAN, WAIT, HERE),
    _command("purge", "Delete archived tables after the grace period", "undo:purge", PLAN, OF_PLAN, WAIT, HERE,
             _option("--confirm", metavar="PLAN", default="", help="with --here: the plan's id, as the approval")),
    _command("sweep", "Take away what a plan left behind: half-made copies, files of runs long over", "undo:sweep",
             MAYBE_PLAN, _flag("--dry-run", text="only say what would be taken away"),
             _option("--days", type=int, metavar="N", default=7, help="keep run files younger than this (default: 7)")),
    _command("report", "The verdicts of a plan, and their Data Docs", "report:report", MAYBE_PLAN,
             _option("--out", metavar="FOLDER", help="build Data Docs there")),
    _command("costs", "What a plan costs: estimate, actual, without Photon, stored twice", "costs:costs", MAYBE_PLAN,
             _flag("--refresh", text="ask the workspace's billing tables first")),
    _command("extract", "Write rows of SQL Server as Parquet files, a job a query and country", "extract:extract",
             _option("folder", metavar="FOLDER", nargs="?", default="", help="folder with queries/ and config/"
                     " (default: [icebridge] extraction_folder)"),
             _list("--queries", metavar="GLOB", text="queries, as globs over their names (default: all)"),
             _list("--countries", metavar="GLOB", text="countries, as globs over the files of config/ (default: all)"),
             _option("--source", metavar="CONN_ID", default="", help="SQL Server (default: SQLSERVER_HOST, …)"),
             _option("--target", metavar="CONN_ID", default="", help="what may write to the location (default:"
                     " DATABRICKS_HOST, … for a Volume)"),
             _option("--location", metavar="URL", default="", help="Volume, object store or folder (default: the Volume"
                     " of DATABRICKS_CATALOG, _SCHEMA, _VOLUME)"),
             _list("--param", metavar="NAME=VALUE", text="parameters that win over those of the files"),
             _flag("--dry-run", text="only list the jobs, with everything checked that can be without the database"),
             WAIT, HERE),
    Command(name="events", help="Events that ask for rows to be written into SQL Server", children=(
        _command("init", "Make a sync's events table and its target's inbox", "events:init", SYNC),
        _command("emit", "Add an event", "events:emit", *_EMIT_OPTIONS),
        _command("preview", "Show the statements of an event and the rows they hit, and roll it back",
                 "events:preview", EVENT, SYNC),
        _command("apply", "Apply what waits, in this process", "events:apply", SYNC),
        _command("release", "Let a blocked DELETE delete more rows than its limit", "events:release", EVENT,
                 _option("--rows", type=int, metavar="N", required=True, help="most rows it may delete"), SYNC),
        _command("reject", "End a blocked event for good", "events:reject", EVENT,
                 _option("--message", metavar="TEXT", default="", help="why"), SYNC),
        _command("status", "Events and how the watching of their syncs goes", "events:status",
                 _option("event_id", metavar="EVENT", nargs="?", help="id of one event (default: the newest)"),
                 _option("--status", metavar="STATUS", default="", help="only events of this status"),
                 _option("--limit", type=int, metavar="N", default=50, help="most events (default: %(default)s)"),
                 SYNC),
    )),
    Command(name="share", help="Tables of Databricks that go to Snowflake", children=(
        _command("plan", "Look at tables on both sides and plan their share", "share:plan", *_SHARED,
                 _flag("--dry-run", text="show every statement, keep nothing and change nothing")),
        _command("run", "Share tables in this process, or go on with a run", "share:run", *_SHARED),
        _command("status", "Runs of shares: state, rows, log", "share:status",
                 _option("share_run", metavar="RUN", nargs="?", default="",
                         help="id of one run (default: the newest runs)"),
                 _option("--limit", type=int, metavar="N", default=20, help="most runs (default: %(default)s)")),
        _command("routes", "Compare the ways to Snowflake: copy, whole files, or reading in place; with prices",
                 "share:routes", *_SHARED, *_USE),
    )),
    Command(name="audit", help="The hash-chained record", children=(
        _command("verify", "Check the event chain, every certificate and every approval", "audit:verify",
                 _option("plan", metavar="PLAN", nargs="?", help="certificates of this plan only (default: all)"),
                 _option("--bundle", metavar="FILE", help="check a bundle instead, without a ledger"),
                 _option("--since", metavar="FILE", help="an earlier bundle that the record must continue"),
                 PUBLIC_KEYS),
        _command("bundle", "Write one zip with everything an auditor needs, readable offline", "audit:bundle", PLAN,
                 _option("--out", metavar="FILE", help="(default: icebridge-<plan>.zip)"), PUBLIC_KEYS),
    )),
    Command(name="db", help="The ledger's database", children=(
        _command("migrate", "Bring the ledger to this version", "db:migrate"),
        _command("backup", "Write the ledger to a file", "db:backup",
                 _option("file", metavar="FILE", help="JSON lines with a digest")),
        _command("restore", "Fill an empty ledger from a backup", "db:restore",
                 _option("file", metavar="FILE", help="what db backup wrote")),
        _command("rebuild", "Rebuild lost records from the tables' own properties", "db:rebuild", CONNECTION,
                 _option("--source", metavar="CONN_ID", help="catalog the tables came from, to find archived ones")),
    )),
)  # fmt: skip
