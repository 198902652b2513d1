"""CREATE, ALTER, DROP, GRANT read into a tree."""

from __future__ import annotations

from typing import Any

from tests.peers.mssql.translate import commands
from tests.peers.mssql.translate.queries import Queries
from tests.peers.mssql.translate.tokens import END


class Definitions(Queries):
    """Reads definitions."""

    def _create_statement(self) -> Any:
        self.expect("CREATE")
        if self.take("OR"):
            self.expect("ALTER")
        if self.take("TABLE"):
            name = self.names()
            columns, constraints = self.table_body()
            self._storage()
            return commands.CreateTable(name, columns, constraints)
        unique = self.take("UNIQUE")
        clustered = self.take_one("CLUSTERED", "NONCLUSTERED")
        if self.take("INDEX"):
            return self._index(unique, clustered == "CLUSTERED")
        kind = self.take_one("SCHEMA", "DATABASE", "VIEW", "LOGIN", "USER", "ROLE", "TRIGGER")
        if kind:
            return self._create(kind)
        raise self.refused(f"CREATE {self.now.value}")

    def _index(self, unique: bool, clustered: bool) -> commands.CreateIndex:
        name = self.name()
        self.expect("ON")
        table = self.names()
        found = commands.Constraint("unique" if unique else "index", name, clustered=clustered)
        self._key_columns(found)
        if self.take("INCLUDE"):
            found.included = self.name_list()
        if self.take("WHERE"):
            start = self.now.start
            found.condition = self.condition()
            found.text = self.sql[start : self.tokens[self.at - 1].end]
        self._index_options(found)
        return commands.CreateIndex(table, found, unique)

    def _key_columns(self, found: commands.Constraint) -> None:
        self.expect("(")
        columns, directions = [], []
        while True:
            columns.append(self.name())
            directions.append(self.take_one("ASC", "DESC") == "DESC")
            if not self.take(","):
                break
        self.expect(")")
        found.columns, found.descending = tuple(columns), tuple(directions)

    def _index_options(self, found: commands.Constraint) -> None:
        if self.see("WITH") and self.ahead().upper == "(":
            self.next()
            start = self.at
            self.skip_parentheses()
            words = [token.upper for token in self.tokens[start : self.at]]
            if "IGNORE_DUP_KEY" in words and words[words.index("IGNORE_DUP_KEY") + 2] == "ON":
                raise self.refused("IGNORE_DUP_KEY")
        self._storage()

    def _storage(self) -> None:
        """``ON [PRIMARY]``, ``TEXTIMAGE_ON``, ``WITH (DATA_COMPRESSION = …)``: where and how, not what."""
        while True:
            if self.see("ON") and self.ahead().upper != "(":
                self.at += 2
            elif self.take("TEXTIMAGE_ON"):
                self.next()
            elif self.see("WITH") and self.ahead().upper == "(" and self.ahead(2).upper == "DATA_COMPRESSION":
                self.next()
                self.skip_parentheses()
            else:
                return

    def _create(self, kind: str) -> commands.Create:
        found = commands.Create(kind, self.names())
        if kind in {"VIEW", "TRIGGER"}:
            return self._module(found)
        if kind == "LOGIN":
            self.expect("WITH", "PASSWORD", "=")
            found.text = self.next().value
            while self.take(","):
                self.at += 3
        elif kind == "USER":
            if self.take("FOR", "LOGIN") or self.take("FROM", "LOGIN"):
                found.text = self.name()
            if self.take("WITH", "DEFAULT_SCHEMA", "="):
                found.options["schema"] = self.name()
        elif kind == "DATABASE":
            if self.take("COLLATE"):
                found.options["collation"] = self.name()
        elif self.take("AUTHORIZATION"):
            found.options["owner"] = self.name()
        return found

    def _module(self, found: commands.Create) -> commands.Create:
        """A view's or trigger's body is the rest of the batch."""
        if found.kind == "VIEW":
            found.options["columns"] = self.name_list() if self.see("(") else ()
            if self.take("WITH"):
                self.name()
        else:
            self.expect("ON")
            found.options["table"] = self.names()
            if not self.take_one("AFTER", "FOR"):
                raise self.refused("INSTEAD OF triggers")
            events = [self.next().upper]
            while self.take(","):
                events.append(self.next().upper)
            found.options["events"] = events
        self.expect("AS")
        found.text = self.sql[self.now.start :]
        if found.kind == "VIEW":
            found.body = self.query()
        else:
            found.body = []
            while self.now.kind != END:
                found.body.append(self.statement())  # type: ignore[attr-defined]
                while self.take(";"):
                    pass
        return found

    def table_body(self) -> tuple[list[commands.ColumnDefinition], list[commands.Constraint]]:
        """``( a int PRIMARY KEY, …, CONSTRAINT c UNIQUE (a) )``."""
        columns: list[commands.ColumnDefinition] = []
        constraints: list[commands.Constraint] = []
        self.expect("(")
        while not self.take(")"):
            if self.now.upper in {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}:
                constraints.append(self.table_constraint())
            elif self.see("INDEX"):
                constraints.append(self._inline_index())
            else:
                columns.append(self.column_definition(constraints))
            if not self.take(",") and not self.see(")"):
                raise self.wrong()
        return columns, constraints

    def _inline_index(self) -> commands.Constraint:
        self.expect("INDEX")
        name = self.name()
        unique = self.take("UNIQUE")
        found = commands.Constraint("unique" if unique else "index", name)
        found.clustered = self.take_one("CLUSTERED", "NONCLUSTERED") == "CLUSTERED"
        self._key_columns(found)
        return found

    def table_constraint(self) -> commands.Constraint:
        """``[CONSTRAINT name] PRIMARY KEY (…)`` and so on."""
        name = self.name() if self.take("CONSTRAINT") else ""
        if self.take("PRIMARY"):
            self.expect("KEY")
            return self._key(commands.Constraint("primary", name))
        if self.take("UNIQUE"):
            return self._key(commands.Constraint("unique", name))
        if self.take("CHECK"):
            return self._check(name)
        self.expect("FOREIGN", "KEY")
        columns = self.name_list()
        return self._reference(commands.Constraint("foreign", name, columns))

    def _key(self, found: commands.Constraint) -> commands.Constraint:
        word = self.take_one("CLUSTERED", "NONCLUSTERED")
        found.clustered = word == "CLUSTERED" if word else found.kind == "primary"
        if self.see("("):
            self._key_columns(found)
        self._index_options(found)
        return found

    def _check(self, name: str) -> commands.Constraint:
        if self.take("NOT"):
            self.expect("FOR", "REPLICATION")
        self.expect("(")
        start = self.now.start
        condition = self.condition()
        text = self.sql[start : self.tokens[self.at - 1].end]
        self.expect(")")
        return commands.Constraint("check", name, condition=condition, text=text)

    def _reference(self, found: commands.Constraint) -> commands.Constraint:
        self.expect("REFERENCES")
        found.reference = self.names()
        found.reference_columns = self.name_list() if self.see("(") else ()
        while self.see("ON"):
            self.next()
            event = self.next().upper
            words = [self.next().upper]
            if words[0] in {"NO", "SET"}:
                words.append(self.next().upper)
            setattr(found, "on_delete" if event == "DELETE" else "on_update", " ".join(words))
        return found

    def column_definition(self, constraints: list[commands.Constraint]) -> commands.ColumnDefinition:
        """One column; its inline constraints go to the list."""
        found = commands.ColumnDefinition(self.name(), None)
        if self.take("AS"):
            self._computed(found)
        else:
            found.type = self.type()
        name = ""
        while not (self.see(",") or self.see(")") or self.now.kind == END or self.see(";")):
            if self.take("CONSTRAINT"):
                name = self.name()
                continue
            if not self._column_option(found, name, constraints):
                break
            name = ""
        return found

    def _computed(self, found: commands.ColumnDefinition) -> None:
        start = self.now.start
        found.computed = self.expression()
        found.computed_text = self.sql[start : self.tokens[self.at - 1].end]
        found.persisted = self.take("PERSISTED")

    def _column_option(
        self, found: commands.ColumnDefinition, name: str, constraints: list[commands.Constraint]
    ) -> bool:
        if self.take("NOT", "NULL"):
            found.nullable = False
        elif self.take("NULL"):
            found.nullable = True
        elif self.take("IDENTITY"):
            found.identity = self._seed()
        elif self.take("DEFAULT"):
            start = self.now.start
            found.default, found.default_name = self.value(), name
            found.default_text = self.sql[start : self.tokens[self.at - 1].end]
        elif self.take("COLLATE"):
            from dataclasses import replace

            found.type = replace(found.type, collation=self.next().value)  # type: ignore[type-var]
        elif self.now.upper in {"ROWGUIDCOL", "SPARSE", "FILESTREAM"}:
            self.next()
        else:
            return self._column_constraint(found, name, constraints)
        return True

    def _column_constraint(
        self, found: commands.ColumnDefinition, name: str, constraints: list[commands.Constraint]
    ) -> bool:
        columns = (found.name,)
        if self.take("PRIMARY"):
            self.expect("KEY")
            constraints.append(self._key(commands.Constraint("primary", name, columns, (False,))))
        elif self.take("UNIQUE"):
            constraints.append(self._key(commands.Constraint("unique", name, columns, (False,))))
        elif self.take("CHECK"):
            constraints.append(self._check(name))
        elif self.see("REFERENCES") or self.see("FOREIGN"):
            if self.take("FOREIGN"):
                self.expect("KEY")
            constraints.append(self._reference(commands.Constraint("foreign", name, columns)))
        else:
            return False
        return True

    def _seed(self) -> tuple[int, int]:
        seed = (1, 1)
        if self.take("("):
            first = self.integer()
            self.expect(",")
            seed = (first, self.integer())
            self.expect(")")
        if self.take("NOT", "FOR", "REPLICATION"):
            pass
        return seed

    def _alter_statement(self) -> Any:
        self.expect("ALTER")
        if self.take("TABLE"):
            return self._alter_table()
        if self.take("DATABASE"):
            name = self.next().value if not self.see("CURRENT") else (self.next() and "")
            return self._alter_database(name)
        if self.take("ROLE"):
            role = self.name()
            verb = self.take_one("ADD", "DROP")
            self.expect("MEMBER")
            return commands.Grant(verb, [role], "ROLE", (), [self.name()])
        if self.see("INDEX"):
            while self.now.kind != END and not self.see(";"):
                self.next()
            return commands.Nothing("ALTER INDEX")
        raise self.refused(f"ALTER {self.now.value}")

    def _alter_database(self, name: str) -> Any:
        if self.take("SET"):
            option = self.next().upper
            self.take("=")
            value = self.next().value
            if self.take("WITH"):
                while self.now.kind != END and not self.see(";"):
                    self.next()
            return commands.AlterDatabase(name, option, value)
        if self.take("COLLATE"):
            return commands.AlterDatabase(name, "COLLATE", self.name())
        raise self.refused(f"ALTER DATABASE {self.now.value}")

    def _alter_table(self) -> commands.AlterTable:
        found = commands.AlterTable(self.names(), "")
        if self.take("WITH"):
            self.take_one("CHECK", "NOCHECK")
        if self.take("ADD"):
            found.action = "add"
            while True:
                if self.now.upper in {"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "DEFAULT"}:
                    self._added_constraint(found)
                else:
                    found.columns.append(self.column_definition(found.constraints))
                if not self.take(","):
                    return found
        if self.take("DROP"):
            column = bool(self.take("COLUMN"))
            found.action = "drop column" if column else "drop constraint"
            self.take("CONSTRAINT")
            found.if_exists = self.take("IF", "EXISTS")
            names = [self.name()]
            while self.take(","):
                names.append(self.name())
            found.names = tuple(names)
            return found
        if self.take("ALTER"):
            self.expect("COLUMN")
            found.action = "alter column"
            found.columns = [self.column_definition(found.constraints)]
            return found
        verb = self.take_one("NOCHECK", "CHECK", "ENABLE", "DISABLE")
        raise self.refused(f"ALTER TABLE … {verb or self.now.value}")

    def _added_constraint(self, found: commands.AlterTable) -> None:
        at = self.at
        name = self.name() if self.take("CONSTRAINT") else ""
        if self.take("DEFAULT"):
            start = self.now.start
            value = self.value()
            text = self.sql[start : self.tokens[self.at - 1].end]
            self.expect("FOR")
            found.columns.append(commands.ColumnDefinition(self.name(), None, default=value, default_text=text,
                                                       default_name=name))  # fmt: skip
            found.action = "add default"
            return
        self.at = at
        found.constraints.append(self.table_constraint())

    def _drop_statement(self) -> Any:
        self.expect("DROP")
        kind = self.next().upper
        if kind not in {"TABLE", "VIEW", "INDEX", "SCHEMA", "DATABASE", "TRIGGER", "LOGIN", "USER"}:
            raise self.refused(f"DROP {kind}")
        if_exists = self.take("IF", "EXISTS")
        names = [self.names()]
        if kind == "INDEX" and self.take("ON"):
            names = [(*self.names(), names[0][-1])]
        while self.take(","):
            names.append(self.names())
        return commands.Drop(kind, names, if_exists)

    def _truncate_statement(self) -> commands.Truncate:
        self.expect("TRUNCATE", "TABLE")
        return commands.Truncate(self.names())

    def _grant_statement(self) -> commands.Grant:
        verb = self.next().upper
        self.take("GRANT", "OPTION", "FOR")
        permissions = [self._permission()]
        while self.take(","):
            permissions.append(self._permission())
        kind, name = "DATABASE", ()
        if self.take("ON"):
            kind = self.take_one("OBJECT", "SCHEMA", "DATABASE") or "OBJECT"
            self.take("::")
            name = self.names()  # type: ignore[assignment]
        if not self.take_one("TO", "FROM"):
            raise self.wrong()
        principals = [self.name()]
        while self.take(","):
            principals.append(self.name())
        if self.take("WITH"):
            self.expect("GRANT", "OPTION")
        self.take("CASCADE")
        return commands.Grant(verb, permissions, kind, name, principals)

    _deny_statement = _grant_statement
    _revoke_statement = _grant_statement

    def _permission(self) -> str:
        words = [self.next().value.upper()]
        while self.now.upper not in {",", "ON", "TO", "FROM"} and self.now.kind != END:
            words.append(self.next().value.upper())
        return " ".join(words)
