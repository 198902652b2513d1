CREATE TYPE ms.dto AS (ticks int8, minutes int2);
CREATE SEQUENCE ms.object_ids START 1000000001 INCREMENT 16;
CREATE SEQUENCE ms.row_versions START 2001;

CREATE TABLE ms.schemas (schema_id int PRIMARY KEY, name ms.ci COLLATE ms.ci_order UNIQUE);
INSERT INTO ms.schemas VALUES (1, 'dbo'), (2, 'guest'), (3, 'INFORMATION_SCHEMA'), (4, 'sys');
CREATE SEQUENCE ms.schema_ids START 5;

CREATE TABLE ms.objects (
  object_id int PRIMARY KEY, schema_id int NOT NULL, name ms.ci COLLATE ms.ci_order NOT NULL, type text NOT NULL,
  parent_id int NOT NULL DEFAULT 0, definition text, created timestamp DEFAULT now()::timestamp,
  modified timestamp DEFAULT now()::timestamp, UNIQUE (schema_id, name));

CREATE TABLE ms.columns (
  object_id int, column_id int, name ms.ci COLLATE ms.ci_order NOT NULL, type_name text, length int, "precision" int,
  scale int, "collation" text, nullable boolean, identity boolean DEFAULT false, seed int8, increment int8,
  computed text, persisted boolean DEFAULT false, default_id int, default_text text,
  max_length int, shown_precision int, shown_scale int,
  PRIMARY KEY (object_id, column_id), UNIQUE (object_id, name));

CREATE TABLE ms.indexes (
  object_id int, index_id int, name ms.ci COLLATE ms.ci_order, is_unique boolean, is_primary boolean,
  is_constraint boolean, clustered boolean, filter text, PRIMARY KEY (object_id, index_id));
CREATE TABLE ms.index_columns (
  object_id int, index_id int, ordinal int, column_id int, descending boolean, included boolean,
  PRIMARY KEY (object_id, index_id, ordinal));
CREATE TABLE ms.foreign_keys (
  object_id int PRIMARY KEY, parent_id int, referenced_id int, on_delete text, on_update text);
CREATE TABLE ms.foreign_key_columns (
  object_id int, ordinal int, parent_id int, parent_column int, referenced_id int, referenced_column int);
CREATE TABLE ms.principals (
  principal_id serial PRIMARY KEY, name ms.ci COLLATE ms.ci_order UNIQUE, type text, login text);
INSERT INTO ms.principals (name, type) VALUES ('public', 'R'), ('dbo', 'S');
CREATE TABLE ms.members (role ms.ci COLLATE ms.ci_order, member ms.ci COLLATE ms.ci_order, PRIMARY KEY (role, member));
CREATE TABLE ms.grants (
  principal ms.ci COLLATE ms.ci_order, class text, id int, permission text, state text,
  PRIMARY KEY (principal, class, id, permission));
CREATE TABLE ms.options (name text PRIMARY KEY, value text);
INSERT INTO ms.options VALUES ('ALLOW_SNAPSHOT_ISOLATION', 'OFF'), ('READ_COMMITTED_SNAPSHOT', 'OFF');

-- Whether the session's user may do this; a denial anywhere outweighs grants; an administrator may do everything.
CREATE FUNCTION ms.allowed(wanted text, object int, schema int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE who ms.ci := coalesce(current_setting('ms.who', true), '')::ms.ci; found boolean; denied boolean;
BEGIN
  IF coalesce(current_setting('ms.admin', true), '1') = '1' THEN RETURN true; END IF;
  SELECT bool_or(state = 'GRANT'), bool_or(state = 'DENY') INTO found, denied FROM ms.grants g
   WHERE (g.principal OPERATOR(ms.=) who COLLATE ms.ci_order OR g.principal::text = 'public')
     AND (g.permission = wanted OR g.permission = 'CONTROL')
     AND ((class = 'OBJECT' AND id = object) OR (class = 'SCHEMA' AND id = schema) OR class = 'DATABASE');
  IF coalesce(denied, false) THEN RETURN false; END IF;
  IF found THEN RETURN true; END IF;
  RETURN EXISTS (SELECT FROM ms.members m WHERE m.member OPERATOR(ms.=) who COLLATE ms.ci_order AND (
    lower(m.role::text) = 'db_owner'
    OR (lower(m.role::text) = 'db_datareader' AND wanted = 'SELECT')
    OR (lower(m.role::text) = 'db_datawriter' AND wanted IN ('INSERT', 'UPDATE', 'DELETE'))
    OR (lower(m.role::text) = 'db_ddladmin' AND wanted IN ('ALTER', 'CREATE TABLE', 'VIEW DEFINITION'))));
END $$;

-- Metadata is visible with any permission on the object unless VIEW DEFINITION is denied.
CREATE FUNCTION ms.visible(object int) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
DECLARE who ms.ci := coalesce(current_setting('ms.who', true), '')::ms.ci; place int; base int;
BEGIN
  IF coalesce(current_setting('ms.admin', true), '1') = '1' OR object < 0 THEN RETURN true; END IF;
  SELECT coalesce(nullif(o.parent_id, 0), o.object_id), o.schema_id INTO base, place
    FROM ms.objects o WHERE o.object_id = object;
  IF EXISTS (SELECT FROM ms.grants g WHERE g.principal OPERATOR(ms.=) who COLLATE ms.ci_order AND g.state = 'DENY'
     AND g.permission = 'VIEW DEFINITION'
     AND ((class = 'OBJECT' AND id = base) OR (class = 'SCHEMA' AND id = place) OR class = 'DATABASE')) THEN
    RETURN false;
  END IF;
  RETURN ms.allowed('VIEW DEFINITION', base, place) OR ms.allowed('SELECT', base, place)
      OR ms.allowed('INSERT', base, place) OR ms.allowed('UPDATE', base, place) OR ms.allowed('DELETE', base, place)
      OR ms.allowed('ALTER', base, place);
END $$;

CREATE FUNCTION ms.object_name(int) RETURNS text LANGUAGE sql STABLE AS
 $$ SELECT name::text FROM ms.objects WHERE object_id = $1 $$;
CREATE FUNCTION ms.schema_name(int) RETURNS text LANGUAGE sql STABLE AS
 $$ SELECT name::text FROM ms.schemas WHERE schema_id = $1 $$;
CREATE FUNCTION ms.schema_of(int) RETURNS text LANGUAGE sql STABLE AS
 $$ SELECT ms.schema_name(schema_id) FROM ms.objects WHERE object_id = $1 $$;
CREATE FUNCTION ms.column_name(int, int) RETURNS text LANGUAGE sql STABLE AS
 $$ SELECT name::text FROM ms.columns WHERE object_id = $1 AND column_id = $2 $$;

CREATE TABLE ms.types (system_type_id int, user_type_id int PRIMARY KEY, name text, max_length int, "precision" int,
 scale int, collated boolean);
INSERT INTO ms.types VALUES
 (34, 34, 'image', 16, 0, 0, false), (35, 35, 'text', 16, 0, 0, true), (36, 36, 'uniqueidentifier', 16, 0, 0, false),
 (40, 40, 'date', 3, 10, 0, false), (41, 41, 'time', 5, 16, 7, false), (42, 42, 'datetime2', 8, 27, 7, false),
 (43, 43, 'datetimeoffset', 10, 34, 7, false), (48, 48, 'tinyint', 1, 3, 0, false),
 (52, 52, 'smallint', 2, 5, 0, false), (56, 56, 'int', 4, 10, 0, false), (58, 58, 'smalldatetime', 4, 16, 0, false),
 (59, 59, 'real', 4, 24, 0, false), (60, 60, 'money', 8, 19, 4, false), (61, 61, 'datetime', 8, 23, 3, false),
 (62, 62, 'float', 8, 53, 0, false), (98, 98, 'sql_variant', 8016, 0, 0, false), (99, 99, 'ntext', 16, 0, 0, true),
 (104, 104, 'bit', 1, 1, 0, false), (106, 106, 'decimal', 17, 38, 38, false), (108, 108, 'numeric', 17, 38, 38, false),
 (122, 122, 'smallmoney', 4, 10, 4, false), (127, 127, 'bigint', 8, 19, 0, false),
 (240, 128, 'hierarchyid', 892, 0, 0, false), (240, 129, 'geometry', -1, 0, 0, false),
 (240, 130, 'geography', -1, 0, 0, false), (165, 165, 'varbinary', 8000, 0, 0, false),
 (167, 167, 'varchar', 8000, 0, 0, true), (173, 173, 'binary', 8000, 0, 0, false), (175, 175, 'char', 8000, 0, 0, true),
 (189, 189, 'timestamp', 8, 0, 0, false), (231, 231, 'nvarchar', 8000, 0, 0, true),
 (239, 239, 'nchar', 8000, 0, 0, true), (241, 241, 'xml', -1, 0, 0, false), (231, 256, 'sysname', 256, 0, 0, true),
 (244, 244, 'json', -1, 0, 0, false), (255, 255, 'vector', -1, 0, 0, false);
CREATE FUNCTION ms.type_name(int) RETURNS text LANGUAGE sql STABLE AS
 $$ SELECT name FROM ms.types WHERE user_type_id = $1 $$;
CREATE FUNCTION ms.type_id(text) RETURNS int LANGUAGE sql STABLE AS
 $$ SELECT user_type_id FROM ms.types WHERE name = CASE lower($1) WHEN 'rowversion' THEN 'timestamp' ELSE lower($1) END $$;
CREATE FUNCTION ms.system_type_id(text) RETURNS int LANGUAGE sql STABLE AS
 $$ SELECT system_type_id FROM ms.types WHERE name = CASE lower($1) WHEN 'rowversion' THEN 'timestamp' ELSE lower($1) END $$;
