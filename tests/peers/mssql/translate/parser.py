"""What every part of the T-SQL reader needs: a place in the tokens, and names."""

from __future__ import annotations

from tests.peers.mssql.interface import SqlError, SqlType
from tests.peers.mssql.translate import types
from tests.peers.mssql.translate.tokens import END, NUMBER, OPERATOR, QUOTED, WORD, Token, tokens

# Words that cannot be a bare name or alias.
RESERVED = frozenset(
    [
        "ADD",
        "ALL",
        "ALTER",
        "AND",
        "ANY",
        "AS",
        "ASC",
        "AUTHORIZATION",
        "BEGIN",
        "BETWEEN",
        "BREAK",
        "BULK",
        "BY",
        "CASCADE",
        "CASE",
        "CHECK",
        "CLOSE",
        "CLUSTERED",
        "COALESCE",
        "COLLATE",
        "COLUMN",
        "COMMIT",
        "CONSTRAINT",
        "CONTINUE",
        "CONVERT",
        "CREATE",
        "CROSS",
        "CURRENT",
        "CURRENT_TIMESTAMP",
        "CURRENT_USER",
        "CURSOR",
        "DATABASE",
        "DECLARE",
        "DEFAULT",
        "DELETE",
        "DENY",
        "DESC",
        "DISTINCT",
        "DROP",
        "ELSE",
        "END",
        "ESCAPE",
        "EXCEPT",
        "EXEC",
        "EXECUTE",
        "EXISTS",
        "FETCH",
        "FOR",
        "FOREIGN",
        "FROM",
        "FULL",
        "FUNCTION",
        "GOTO",
        "GRANT",
        "GROUP",
        "HAVING",
        "HOLDLOCK",
        "IDENTITY",
        "IDENTITY_INSERT",
        "IF",
        "IN",
        "INDEX",
        "INNER",
        "INSERT",
        "INTERSECT",
        "INTO",
        "IS",
        "JOIN",
        "KEY",
        "LEFT",
        "LIKE",
        "MERGE",
        "NATIONAL",
        "NONCLUSTERED",
        "NOT",
        "NULL",
        "NULLIF",
        "OF",
        "OFF",
        "ON",
        "OPEN",
        "OPTION",
        "OR",
        "ORDER",
        "OUTER",
        "OVER",
        "PERCENT",
        "PIVOT",
        "PRIMARY",
        "PRINT",
        "PROC",
        "PROCEDURE",
        "RAISERROR",
        "REFERENCES",
        "RETURN",
        "REVOKE",
        "RIGHT",
        "ROLLBACK",
        "SAVE",
        "SCHEMA",
        "SELECT",
        "SESSION_USER",
        "SET",
        "SOME",
        "STATISTICS",
        "SYSTEM_USER",
        "TABLE",
        "TABLESAMPLE",
        "THEN",
        "TO",
        "TOP",
        "TRAN",
        "TRANSACTION",
        "TRIGGER",
        "TRUNCATE",
        "TRY_CONVERT",
        "UNION",
        "UNIQUE",
        "UNPIVOT",
        "UPDATE",
        "USE",
        "USER",
        "VALUES",
        "VIEW",
        "WAITFOR",
        "WHEN",
        "WHERE",
        "WHILE",
        "WITH",
    ]
)


class Reader:
    """A place in a batch's tokens."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.tokens = tokens(sql)
        self.at = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.at]

    def ahead(self, count: int = 1) -> Token:
        return self.tokens[min(self.at + count, len(self.tokens) - 1)]

    def next(self) -> Token:
        token = self.tokens[self.at]
        if token.kind != END:
            self.at += 1
        return token

    def see(self, *words: str) -> bool:
        """True when the next tokens are just these words or signs."""
        if len(words) == 1:
            return self.tokens[self.at].upper == words[0]
        return all(self.ahead(place).upper == word for place, word in enumerate(words))

    def take(self, *words: str) -> bool:
        """See and step over."""
        if not self.see(*words):
            return False
        self.at += len(words)
        return True

    def take_one(self, *words: str) -> str:
        """Step over one of these words and return it, else nothing."""
        if self.now.upper and self.now.upper in words:
            return self.next().upper
        return ""

    def expect(self, *words: str) -> None:
        for word in words:
            if not self.take(word):
                raise self.wrong()

    def wrong(self, token: Token | None = None) -> SqlError:
        token = token or self.now
        if token.kind == END:
            last = self.tokens[max(len(self.tokens) - 2, 0)]
            return SqlError(102, f"Incorrect syntax near '{last.value}'.", severity=15, line=last.line)
        if token.kind == WORD and token.upper in RESERVED:
            text = f"Incorrect syntax near the keyword '{token.value}'."
            return SqlError(156, text, severity=15, line=token.line)
        return SqlError(102, f"Incorrect syntax near '{token.value}'.", severity=15, line=token.line)

    def refused(self, what: str) -> SqlError:
        """SQL Server knows this, the stand-in does not."""
        text = f"The local SQL Server does not know {what}; see its README for what it knows."
        return SqlError(40510, text, severity=16, line=self.now.line)

    def is_name(self, token: Token | None = None) -> bool:
        token = token or self.now
        return token.kind == QUOTED or (token.kind == WORD and token.upper not in RESERVED)

    def name(self) -> str:
        """One identifier of at most 128 characters."""
        token = self.next()
        if not self.is_name(token):
            self.at -= token.kind != END
            raise self.wrong(token)
        if len(token.value.encode("utf-16-le", "surrogatepass")) > 256:
            text = f"The identifier that starts with '{token.value[:128]}' is too long. Maximum length is 128."
            raise SqlError(103, text, severity=15, line=token.line)
        if not token.value:
            text = "An object or column name is missing or empty."
            raise SqlError(1038, text, severity=15, line=token.line)
        return token.value

    def names(self) -> tuple[str, ...]:
        """A name of up to four parts; a left-out part (``tempdb..#t``) is empty."""
        parts = [self.name()]
        while self.see("."):
            self.next()
            parts.append("" if self.see(".") else self.name())
        if len(parts) > 4:
            raise self.wrong()
        return tuple(parts)

    def name_list(self) -> tuple[str, ...]:
        """``(a, b)``."""
        self.expect("(")
        found = [self.name()]
        while self.take(","):
            found.append(self.name())
        self.expect(")")
        return tuple(found)

    def integer(self) -> int:
        sign = -1 if self.take("-") else 1
        token = self.next()
        if token.kind != NUMBER or not token.value.isdigit():
            raise self.wrong(token)
        return sign * int(token.value)

    def type(self) -> SqlType:
        """A declared type."""
        words = [self.name() if not self.see("NATIONAL") else self.next().value]
        while self.take("."):  # sys.nvarchar, dbo.sysname
            words = [self.name()]
        word = words[0].lower()
        if word in {"character", "char", "national", "nchar", "binary", "double"}:
            word = self._two_words(word)
        arguments: list[int] = []
        if self.take("("):
            arguments.append(types.MAX if self.take("MAX") else self.integer())
            while self.take(","):
                arguments.append(self.integer())
            self.expect(")")
        return types.declared(word, arguments)

    def _two_words(self, word: str) -> str:
        if word == "national":
            base = self.next().value.lower()
            word = {"character": "nchar", "char": "nchar", "text": "ntext"}.get(base, base)
        if self.take("VARYING"):
            return {"character": "varchar", "char": "varchar", "nchar": "nvarchar", "binary": "varbinary"}[word]
        self.take("PRECISION")
        return word

    def skip_parentheses(self) -> None:
        """Step over ``( … )``."""
        self.expect("(")
        depth = 1
        while depth:
            token = self.next()
            if token.kind == END:
                raise self.wrong()
            if token.kind == OPERATOR:
                depth += {"(": 1, ")": -1}.get(token.value, 0)
