"""What a PostgreSQL database needs before T-SQL can be said in it: text types, a catalogue, functions.

``ms.ci`` and ``ms.bin`` are text whose comparison ignores trailing blanks, as SQL Server's does under any collation;
``ms.ci`` ignores case too, by ICU's non-deterministic collation or, on a server built without ICU, by folding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

_INTERNAL = """
CREATE TYPE ms.{t};
CREATE FUNCTION ms.{t}_in(cstring) RETURNS ms.{t} LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textin';
CREATE FUNCTION ms.{t}_out(ms.{t}) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'textout';
CREATE TYPE ms.{t} (INPUT = ms.{t}_in, OUTPUT = ms.{t}_out, LIKE = text, CATEGORY = 'S', COLLATABLE = true);
CREATE CAST (ms.{t} AS text) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (text AS ms.{t}) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (varchar AS ms.{t}) WITHOUT FUNCTION AS ASSIGNMENT;
"""
_FUNCTION = """
CREATE FUNCTION ms.{t}_{op}(ms.{t}, ms.{t}) RETURNS {answer} LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE
 AS 'bpchar{op}';
"""
_FOLDED = """
CREATE FUNCTION ms.{t}_{op}(ms.{t}, ms.{t}) RETURNS {answer} LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
 AS $$ SELECT {how} $$;
"""
_OPERATORS = """
CREATE OPERATOR ms.= (LEFTARG = ms.{t}, RIGHTARG = ms.{t}, FUNCTION = ms.{t}_eq, COMMUTATOR = OPERATOR(ms.=),
 NEGATOR = OPERATOR(ms.<>), RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR ms.<> (LEFTARG = ms.{t}, RIGHTARG = ms.{t}, FUNCTION = ms.{t}_ne, COMMUTATOR = OPERATOR(ms.<>),
 NEGATOR = OPERATOR(ms.=), RESTRICT = neqsel, JOIN = neqjoinsel);
CREATE OPERATOR ms.< (LEFTARG = ms.{t}, RIGHTARG = ms.{t}, FUNCTION = ms.{t}_lt, COMMUTATOR = OPERATOR(ms.>),
 NEGATOR = OPERATOR(ms.>=), RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR ms.<= (LEFTARG = ms.{t}, RIGHTARG = ms.{t}, FUNCTION = ms.{t}_le, COMMUTATOR = OPERATOR(ms.>=),
 NEGATOR = OPERATOR(ms.>), RESTRICT = scalarlesel, JOIN = scalarlejoinsel);
CREATE OPERATOR ms.> (LEFTARG = ms.{t}, RIGHTARG = ms.{t}, FUNCTION = ms.{t}_gt, COMMUTATOR = OPERATOR(ms.<),
 NEGATOR = OPERATOR(ms.<=), RESTRICT = scalargtsel, JOIN = scalargtjoinsel);
CREATE OPERATOR ms.>= (LEFTARG = ms.{t}, RIGHTARG = ms.{t}, FUNCTION = ms.{t}_ge, COMMUTATOR = OPERATOR(ms.<=),
 NEGATOR = OPERATOR(ms.<), RESTRICT = scalargesel, JOIN = scalargejoinsel);
CREATE OPERATOR CLASS ms.{t}_btree DEFAULT FOR TYPE ms.{t} USING btree AS
 OPERATOR 1 ms.<, OPERATOR 2 ms.<=, OPERATOR 3 ms.=, OPERATOR 4 ms.>=, OPERATOR 5 ms.>,
 FUNCTION 1 ms.{t}_cmp(ms.{t}, ms.{t});
CREATE OPERATOR CLASS ms.{t}_hash DEFAULT FOR TYPE ms.{t} USING hash AS
 OPERATOR 1 ms.=, FUNCTION 1 ms.{t}_hashed(ms.{t});
"""
_ANSWERS = {"eq": ("boolean", "="), "ne": ("boolean", "<>"), "lt": ("boolean", "<"), "le": ("boolean", "<="),
            "gt": ("boolean", ">"), "ge": ("boolean", ">=")}  # fmt: skip


def install(cursor: Any) -> None:
    """Fill an empty database."""
    cursor.execute("SELECT count(*) FILTER (WHERE collname = 'und-x-icu'), "
                   "count(*) FILTER (WHERE collname = 'pg_unicode_fast') FROM pg_collation")  # fmt: skip
    icu, builtin = cursor.fetchone()
    cursor.execute("CREATE SCHEMA ms; CREATE SCHEMA data;")
    if icu:
        cursor.execute(
            "CREATE COLLATION ms.ci_order (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    else:
        cursor.execute('CREATE COLLATION ms.ci_order FROM "C"')
    cursor.execute('CREATE COLLATION ms.bin_order FROM "C"')
    fold = '"und-x-icu"' if icu else "pg_unicode_fast" if builtin else '"C"'
    cursor.execute(f"CREATE FUNCTION ms.low(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE "
                   f"AS $$ SELECT lower($1 COLLATE {fold}) $$;"
                   f"CREATE FUNCTION ms.up(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE "
                   f"AS $$ SELECT upper($1 COLLATE {fold}) $$;")  # fmt: skip
    for kind in ("ci", "bin"):
        cursor.execute(_text_type(kind, folded=kind == "ci" and not icu))
    cursor.execute("CREATE CAST (ms.ci AS ms.bin) WITHOUT FUNCTION AS ASSIGNMENT;"
                   "CREATE CAST (ms.bin AS ms.ci) WITHOUT FUNCTION AS ASSIGNMENT;")  # fmt: skip
    for name in ("catalog.sql", "functions.sql", "dates.sql"):
        cursor.execute(Path(__file__).with_name(name).read_text(encoding="utf-8"))


def _text_type(kind: str, *, folded: bool) -> str:
    statements = _INTERNAL.format(t=kind)
    if folded:
        key = "rtrim(ms.low({}::text), ' ') COLLATE \"C\""
        left, right = key.format("$1"), key.format("$2")
        for operation, (answer, sign) in _ANSWERS.items():
            statements += _FOLDED.format(t=kind, op=operation, answer=answer, how=f"{left} {sign} {right}")
        statements += _FOLDED.format(t=kind, op="cmp", answer="int4", how=f"bttextcmp({left}, {right})")
        hashed = f"LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$ SELECT hashtext({left}) $$"
    else:
        for operation, (answer, _) in _ANSWERS.items():
            statements += _FUNCTION.format(t=kind, op=operation, answer=answer)
        statements += _FUNCTION.format(t=kind, op="cmp", answer="int4")
        hashed = "LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS 'hashbpchar'"
    statements += f"CREATE FUNCTION ms.{kind}_hashed(ms.{kind}) RETURNS int4 {hashed};"
    return statements + _OPERATORS.format(t=kind)
