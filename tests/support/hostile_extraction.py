"""Hostile names, values, expressions, queries, paths and YAML files against the reading of extractions.

``python -m tests.support.hostile_extraction --count 10000 --bombs 1000`` runs all; the unit tests a slice. Every check
returns how many of its cases were taken (the others were refused), and fails by an assertion on the first escape.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import sqlglot
from sqlglot import exp

from icebridge_provider.exceptions import ConfigurationError
from icebridge_provider.model.extraction import Extraction
from icebridge_provider.planning.extraction import plan_jobs
from icebridge_provider.specs.extraction import read_folder
from icebridge_provider.specs.parameters import country
from icebridge_provider.specs.query import parse_query
from icebridge_provider.specs.yaml import MAX_NODES, parse_yaml

BITS = (
    "'",
    "''",
    '"',
    '""',
    "[",
    "]",
    "]]",
    "[[",
    "`",
    ";",
    "--",
    "/*",
    "*/",
    "/* */",
    "(",
    ")",
    ",",
    ".",
    "..",
    "#",
    "##",
    "@",
    "@@",
    "%",
    "%%",
    "%s",
    "%(p0)s",
    "%(x)s",
    "?",
    "{x}",
    "{{x}}",
    "{",
    "}",
    "\\",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\0",
    "\u2028",
    "\u200b",
    "\u00a0",
    "\ud800",
    "\ufeff",
    "\u202e",
    "\u02bc",
    "\uff07",
    "\uff1b",
    "é",
    "表",
    "🧊",
    "a",
    "dbo",
    "t",
    "x",
    "N'",
    "0x41",
    "1e3",
    "$",
    "GO",
    "\nGO\n",
    "OR 1=1",
    "UNION SELECT 1",
    "UNION ALL SELECT password FROM users",
    "DROP TABLE t",
    "; DROP TABLE t --",
    "EXEC xp_cmdshell 'x'",
    "xp_cmdshell",
    "INTO y",
    "FROM u",
    "WHERE 1=1",
    "AS b",
    "AS [b]",
    "SELECT 1",
    "(SELECT 1)",
    "OPENROWSET('a','b','c')",
    "WAITFOR DELAY '0:0:9'",
    "a.b.c.d",
    "DELETE FROM t",
    "CASE WHEN 1=1 THEN a END",
    "+",
    "-",
    "*",
    "=",
    "<>",
    "ORDER BY 1",
    "COLLATE x",
    "OVER (ORDER BY a)",
    "n" * 64,
)
SECRET = "ESCAPED"


def text_of(chance: random.Random, most: int = 6) -> str:
    return "".join(chance.choice(BITS) for _ in range(chance.randint(1, most)))


def job(sql: str, value: str, **given: str) -> Extraction:
    """Plan ``sql`` with the parameter ``x``; the value goes through a YAML file."""
    own = parse_yaml(json.dumps({} if given else {"x": value}).encode(), "X.yaml")
    land = country("X", parse_yaml(b"", "common_params.yaml"), own)
    (found,) = plan_jobs([parse_query(sql.encode(), "q", "q.sql")], [land], given=given)
    return found


def tree(statement: str) -> exp.Select:
    """Return the tree of what the server gets, read by sqlglot alone."""
    sql = re.sub(r"%%|%\((p\d+)\)s", lambda match: f"@{match[1]}" if match[1] else "%", statement)
    (found,) = sqlglot.parse(sql, dialect="tsql")
    assert isinstance(found, exp.Select), statement
    return found


def said(select: exp.Select) -> set[str]:
    return {key for key, value in select.args.items() if value}


def check_identifiers(count: int, seed: int = 0) -> int:
    chance, taken = random.Random(seed), 0
    for number in range(count):
        name = text_of(chance)
        bracketed = number % 2 == 0
        try:
            found = job("SELECT a FROM [{x}]" if bracketed else "SELECT a FROM {x}", name)
        except ConfigurationError:
            continue
        taken += 1
        select = tree(found.statement)
        (table,) = select.find_all(exp.Table)
        assert said(select) == {"expressions", "from_"}, (name, found.statement)
        assert not [key for key, value in table.args.items() if value and key not in {"this", "db", "catalog"}], name
        assert not bracketed or [part.name for part in table.parts] == [name], (name, found.statement)
        assert all(part.quoted for part in table.parts), (name, found.statement)
        assert not found.values
    return taken


def check_values(count: int, seed: int = 0) -> int:
    chance, taken = random.Random(seed), 0
    for number in range(count):
        value = text_of(chance)
        try:
            given = {"x": value} if number % 2 else {}
            found = job("SELECT a FROM t WHERE b = '{x}' AND c LIKE '%y'", value, **given)
        except ConfigurationError:
            assert re.search("[\0\ud800-\udfff]", value), repr(value)
            continue
        taken += 1
        assert found.statement == "SELECT a FROM t WHERE b = %(p0)s AND c LIKE '%%y'"
        assert found.values == {"p0": value}
    return taken


def check_expressions(count: int, seed: int = 0) -> int:
    chance, taken = random.Random(seed), 0
    for number in range(count):
        text = chance.choice(("a", "factor_rw1 as factor_rw", "SUM(a)", "")) + text_of(chance, 3)
        item = number % 2 == 0
        sql = "SELECT q, {x} FROM t WHERE c = 1" if item else "SELECT q FROM t WHERE c = {x:expression} AND d = 1"
        try:
            found = job(sql, text)
        except ConfigurationError:
            continue
        taken += 1
        select = tree(found.statement)
        assert said(select) == {"expressions", "from_", "where"}, (text, found.statement)
        assert len(select.expressions) == (2 if item else 1), (text, found.statement)
        assert [table.sql() for table in select.find_all(exp.Table)] == ["t"], (text, found.statement)
        assert len(list(select.find_all(exp.Query))) == 1, (text, found.statement)
        where = select.args["where"].this
        assert isinstance(where, exp.EQ if item else exp.And), (text, found.statement)
        assert item or where.expression.sql() == "d = 1", (text, found.statement)
    return taken


def check_queries(count: int, seed: int = 0) -> int:
    """Files of hostile pieces: what is taken is one SELECT that changes nothing, in the eyes of another parser."""
    chance, taken = random.Random(seed), 0
    wrong = (
        exp.Insert,
        exp.Update,
        exp.Delete,
        exp.Merge,
        exp.Drop,
        exp.Create,
        exp.Command,
        exp.Into,
        exp.TruncateTable,
        exp.Set,
    )
    for _ in range(count):
        sql = (
            "SELECT a "
            + chance.choice(("", "FROM t "))
            + " ".join(text_of(chance, 2) for _ in range(chance.randint(1, 4)))
        )
        try:
            query = parse_query(sql.encode("utf-8", "surrogatepass"), "q", "q.sql")
        except ConfigurationError as error:
            assert error.code == "IB-804"
            continue
        taken += 1
        statement = "".join(piece if isinstance(piece, str) else "x" for piece in query.pieces)
        (found,) = sqlglot.parse(statement, dialect="tsql")
        assert isinstance(found, exp.Select | exp.SetOperation), sql
        assert not list(found.find_all(*wrong)), sql
        assert "--" not in re.sub(r"N?'(?:[^']|'')*'|\[(?:[^\]]|\]\])*\]|\"(?:[^\"]|\"\")*\"", "", statement), sql
        assert not re.search(r"(?i)\b(xp_|openrowset\b|waitfor\b)", re.sub(r"'(?:[^']|'')*'", "", statement)), sql
    return taken


def check_paths(count: int, seed: int = 0) -> int:
    """Files, folders and links of hostile names below ``queries``: names stay within a folder, links are refused."""
    chance, taken = random.Random(seed), 0
    safe = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*")
    with tempfile.TemporaryDirectory() as place:
        outside = Path(place, "outside")
        outside.mkdir()
        (outside / "secret.sql").write_text(f"SELECT 1 AS {SECRET}")
        root = Path(place, "root")
        for part in ("config", "queries"):
            (root / part).mkdir(parents=True)
        (root / "config" / "X.yaml").write_text("")
        (root / "queries" / "ok.sql").write_text("SELECT 1 AS a")
        for number in range(count):
            made = _hostile_entry(chance, root / "queries", outside, number % 4)
            try:
                queries = read_folder(root).queries
                names = [query.name for query in queries]
                assert SECRET not in repr(queries), made
                assert not any(item.is_symlink() and not item.name.startswith(".") for item in made or []), made
                taken += 1
            except ConfigurationError as error:
                assert SECRET not in str(error), made
                names = []
            for name in names:
                assert safe.fullmatch(name), (name, made)
                assert (root / "out" / name).resolve().is_relative_to(root / "out"), name
            for item in reversed(made or []):
                item.rmdir() if item.is_dir() and not item.is_symlink() else item.unlink()
    return taken


def _hostile_entry(chance: random.Random, queries: Path, outside: Path, what: int) -> list[Path] | None:
    """Make a file, a folder with a file, or a link; return what was made, outermost first; None when it cannot be."""
    name = chance.choice(("", "a", "..", "...", ".", "%2e%2e", "..\\", "C:", "~", "con", "ok", "OK")) + text_of(
        chance, 2
    )
    name = name.replace("/", "\u2215").replace("\0", "")[:60]
    path = queries / os.fsdecode(name.encode("utf-8", "surrogatepass"))
    try:
        if what == 0:
            path = queries / f"{path.name}.sql"
            path.write_text("SELECT 1 AS a")
            return [path]
        if what == 1:
            path.mkdir()
            (path / "x.sql").write_text("SELECT 1 AS a")
            return [path, path / "x.sql"]
        target = outside if what == 2 else outside / "secret.sql"
        path = path if what == 2 else queries / f"l{chance.randint(0, 99)}.sql"
        path.symlink_to(target)
    except (OSError, ValueError):
        return None
    return [path]


def bomb(chance: random.Random) -> bytes:
    """One YAML file that is too deep, too wide, too long, or grows when it is read."""
    size = chance.choice((10, 60, 500, 5_000, 20_000))
    letter = chance.choice("abc")
    makers: tuple[Callable[[], str], ...] = (
        lambda: "[" * size,
        lambda: "{a: " * size,
        lambda: "- " * size,
        lambda: "? " * size,
        lambda: "[" * size + "]" * size,
        lambda: "".join(" " * level + "a:\n" for level in range(min(size, 1200))),
        lambda: "\n".join(
            f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9) if n else 'x'}]" for n in range(min(size, 300))
        ),
        lambda: "a: &a {b: 1}\n" + "\n".join(f"k{n}: {{<<: *a}}" for n in range(min(size, 500))),
        lambda: "&" * size,
        lambda: "*" * size,
        lambda: "!" * size * 20,
        lambda: "a: !" + "x" * size * 20,
        lambda: "%YAML 1.2\n" * size,
        lambda: "a: '" + "'" * size * 20,
        lambda: 'a: "' + "\\x41" * size + '"',
        lambda: 'a: "' + "\\" * size,
        lambda: "a: |\n" + " x\n" * size,
        lambda: "#" * size * 40,
        lambda: "\n" * size * 40,
        lambda: ":" * size * 40,
        lambda: "- a\n" * size,
        lambda: f"{letter}: 1\n" * size,
        lambda: "---\n" * size,
        lambda: "a: " + "9" * size,
        lambda: "a: 1e" + "9" * min(size, 90),
        lambda: "a: 0x" + "f" * size,
        lambda: ", ".join("[{" * 30) * (size // 10),
        lambda: "[" + "a, " * size + "]",
        lambda: "{" + ", ".join(f"k{n}: v" for n in range(size)) + "}",
        lambda: "a: " + "x " * size * 20,
        lambda: "\t" * size,
        lambda: "a:\n" + "\t- b\n" * size,
    )
    text = chance.choice(makers)()
    if chance.random() < 0.3:
        text = "a: 1\n" + text
    content = text.encode()
    if chance.random() < 0.2 and content:
        at = chance.randrange(len(content))
        content = content[:at] + bytes([chance.randrange(256)]) + content[at:]
    return content


def check_bombs(count: int, seed: int = 0, seconds: float = 10.0) -> tuple[int, float]:
    """Read bombs; return how many were taken, and the processor time of the slowest."""
    chance, taken, slowest = random.Random(seed), 0, 0.0
    for _ in range(count):
        content = bomb(chance)
        start = time.process_time()
        try:
            document = parse_yaml(content, "bomb.yaml")
        except ConfigurationError as error:
            assert error.code == "IB-800", error
            assert re.match(r"bomb\.yaml:\d+:\d+: ", error.message), error
            assert len(error.message) < 400, error
        else:
            taken += 1
            assert len(document.places) <= MAX_NODES
            assert len(json.dumps(document.value, default=str)) < 4 * len(content) + 100
        slowest = max(slowest, time.process_time() - start)
        assert slowest < seconds, content[:100]
    return taken, slowest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--bombs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.monotonic()
    taken, slowest = check_bombs(options.bombs, options.seed)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"bombs: {options.bombs}, {taken} harmless, slowest {slowest:.2f} s, memory grew by {grown:.0f} MB")
    for check in (check_identifiers, check_values, check_expressions, check_queries, check_paths):
        print(f"{check.__name__}: {options.count}, {check(options.count, options.seed)} taken, 0 escapes", flush=True)
    print(f"{time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
