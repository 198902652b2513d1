-- An error of SQL Server: its number travels in the detail.
CREATE FUNCTION ms.fail(number int, words text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = 'MS000', MESSAGE = words, DETAIL = number::text; END $$;
CREATE FUNCTION ms.fail_bool(number int, words text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION USING ERRCODE = 'MS000', MESSAGE = words, DETAIL = number::text; END $$;

-- UTF-16 units; NUL and lone surrogates are kept as U+10F000 … U+10F800 and count one.
CREATE FUNCTION ms.units(x text) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(x) < 4 OR octet_length(x) = length(x) THEN RETURN length(x); END IF;
  RETURN length(x) + length(regexp_replace(x COLLATE "C", E'[^\U00010000-\U0010EFFF]', '', 'g'));
END $$;

-- Most functions count UTF-16 units: a text with astral characters is spread into its units and gathered again.
CREATE FUNCTION ms.astral(x text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(x) = length(x) THEN RETURN false; END IF;
  RETURN x COLLATE "C" ~ E'[\U00010000-\U0010EFFF]';
END $$;
CREATE FUNCTION ms.spread(x text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT coalesce(string_agg(CASE WHEN a BETWEEN 65536 AND 1110015 THEN chr(1110016 + ((a - 65536) >> 10)) || chr(1111040 + ((a - 65536) & 1023)) ELSE c END, '' ORDER BY i), '')
 FROM (SELECT c, ascii(c) AS a, i FROM string_to_table(x, NULL) WITH ORDINALITY AS t(c, i)) q $$;
CREATE FUNCTION ms.gather(x text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT coalesce(string_agg(CASE WHEN a BETWEEN 1111040 AND 1112063 AND before BETWEEN 1110016 AND 1111039 THEN ''
  WHEN a BETWEEN 1110016 AND 1111039 AND after BETWEEN 1111040 AND 1112063 THEN chr(65536 + ((a - 1110016) << 10) + after - 1111040) ELSE c END, '' ORDER BY i), '')
 FROM (SELECT c, i, a, lag(a) OVER (ORDER BY i) AS before, lead(a) OVER (ORDER BY i) AS after FROM
  (SELECT c, ascii(c) AS a, i FROM string_to_table(x, NULL) WITH ORDINALITY AS t(c, i)) q) p $$;
CREATE FUNCTION ms.cut(x text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF ms.astral(x) THEN RETURN ms.gather(left(ms.spread(x), n)); END IF;
  RETURN left(x, n);
END $$;
CREATE FUNCTION ms.left_of(x text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF n < 0 THEN RETURN ms.fail(536, 'Invalid length parameter passed to the LEFT function.'); END IF;
  RETURN ms.cut(x, n);
END $$;
CREATE FUNCTION ms.first_unit(x text) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS
 $$ SELECT CASE WHEN x = '' THEN NULL WHEN a = 1112064 THEN 0 WHEN a >= 1110016 THEN a - 1110016 + 55296 WHEN a > 65535 THEN 55296 + ((a - 65536) >> 10) ELSE a END FROM (SELECT ascii(x) AS a) q $$;
CREATE FUNCTION ms.right_of(x text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF n < 0 THEN RETURN ms.fail(536, 'Invalid length parameter passed to the RIGHT function.'); END IF;
  IF n = 0 THEN RETURN ''; END IF;
  IF ms.astral(x) THEN RETURN ms.gather(right(ms.spread(x), n)); END IF;
  RETURN right(x, n);
END $$;
CREATE FUNCTION ms.stuffed(x text, start int, n int, piece text) RETURNS text LANGUAGE sql IMMUTABLE AS
 $$ SELECT CASE WHEN start < 1 OR start > ms.units(x) OR n < 0 THEN NULL
  ELSE ms.gather(overlay(ms.spread(x) placing ms.spread(coalesce(piece, '')) from start for n)) END $$;

-- What code page 1252 has not becomes a question mark.
CREATE FUNCTION ms.ansi(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF octet_length(x) = length(x) THEN RETURN x; END IF;
  RETURN regexp_replace(x COLLATE "C", E'[^\u0001-\u00FF\u20AC\u201A\u0192\u201E\u2026\u2020\u2021\u02C6\u2030\u0160\u2039\u0152\u017D\u2018\u2019\u201C\u201D\u2022\u2013\u2014\u02DC\u2122\u0161\u203A\u0153\u017E\u0178\U0010F800]', '?', 'g');
END $$;

-- A value on its way into a column: too long is error 2628 unless only blanks are cut.
CREATE FUNCTION ms.fit(x text, n int, place text, col text) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF x IS NULL OR octet_length(x) <= n OR ms.units(x) <= n THEN RETURN x; END IF;
  IF ms.units(rtrim(x, ' ')) <= n THEN RETURN ms.cut(x, n); END IF;
  RETURN ms.fail(2628, format('String or binary data would be truncated in table ''%s'', column ''%s''. Truncated value: ''%s''.', place, col, ms.cut(x, least(n, 100))));
END $$;
CREATE FUNCTION ms.fit_bytes(x bytea, n int, place text, col text) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF x IS NULL OR octet_length(x) <= n THEN RETURN x; END IF;
  PERFORM ms.fail(2628, format('String or binary data would be truncated in table ''%s'', column ''%s''. Truncated value: ''''.', place, col));
  RETURN x;
END $$;
CREATE FUNCTION ms.pad(x text, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN RETURN x || repeat(' ', greatest(n - ms.units(x), 0)); END $$;
CREATE FUNCTION ms.pad_bytes(x bytea, n int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
 $$ SELECT CASE WHEN octet_length(x) >= n THEN substring(x, 1, n) ELSE x || decode(repeat('00', n - octet_length(x)), 'hex') END $$;

CREATE FUNCTION ms.to_int(x text, low numeric, high numeric, kind text, source text, attempt boolean) RETURNS int8 LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE t text := btrim(x, ' '); n numeric;
BEGIN
  IF x IS NULL THEN RETURN NULL; END IF;
  IF t = '' THEN RETURN 0; END IF;
  IF t !~ '^[+-]?[0-9]+$' THEN
    IF attempt THEN RETURN NULL; END IF;
    PERFORM ms.fail(CASE WHEN kind = 'bigint' THEN 8114 ELSE 245 END, CASE WHEN kind = 'bigint' THEN format('Error converting data type %s to bigint.', source)
      ELSE format('Conversion failed when converting the %s value ''%s'' to data type %s.', source, x, kind) END);
  END IF;
  n := t::numeric;
  IF n < low OR n > high THEN
    IF attempt THEN RETURN NULL; END IF;
    PERFORM ms.fail(CASE kind WHEN 'int' THEN 248 WHEN 'bigint' THEN 8115 ELSE 244 END,
      CASE kind WHEN 'bigint' THEN format('Arithmetic overflow error converting expression to data type %s.', kind)
      ELSE format('The conversion of the %s value ''%s'' overflowed an %s column.', source, x, kind) END);
  END IF;
  RETURN n;
END $$;

CREATE FUNCTION ms.to_decimal(x text, p int, s int, source text, attempt boolean) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE t text := btrim(x, ' '); n numeric;
BEGIN
  IF x IS NULL THEN RETURN NULL; END IF;
  IF t !~ '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)$' THEN
    IF attempt THEN RETURN NULL; END IF;
    PERFORM ms.fail(8114, format('Error converting data type %s to numeric.', source));
  END IF;
  n := round(t::numeric, s);
  IF abs(n) >= 10::numeric ^ (p - s) THEN
    IF attempt THEN RETURN NULL; END IF;
    PERFORM ms.fail(8115, format('Arithmetic overflow error converting %s to data type numeric.', source));
  END IF;
  RETURN n;
END $$;

-- A number on its way to fewer digits.
CREATE FUNCTION ms.narrow(n numeric, p int, s int, source text, attempt boolean) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE r numeric := round(n, s);
BEGIN
  IF n IS NULL OR abs(r) < 10::numeric ^ (p - s) THEN RETURN r; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM ms.fail(8115, format('Arithmetic overflow error converting %s to data type numeric.', source));
  RETURN r;
END $$;
CREATE FUNCTION ms.narrow_int(n numeric, low numeric, high numeric, kind text, source text, attempt boolean) RETURNS int8 LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF n IS NULL THEN RETURN NULL; END IF;
  IF n BETWEEN low AND high THEN RETURN n::int8; END IF;
  IF attempt THEN RETURN NULL; END IF;
  IF kind IN ('tinyint', 'smallint') AND source IN ('int', 'smallint', 'bigint', 'tinyint') THEN
    PERFORM ms.fail(220, format('Arithmetic overflow error for data type %s, value = %s.', kind, n));
  END IF;
  PERFORM ms.fail(8115, format('Arithmetic overflow error converting %s to data type %s.', CASE WHEN source IN ('decimal', 'numeric') THEN 'numeric' ELSE 'expression' END, kind));
  RETURN NULL;
END $$;
CREATE FUNCTION ms.narrow_money(n numeric, most numeric, kind text, attempt boolean) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE r numeric := round(n, 4);
BEGIN
  IF n IS NULL OR (r <= most AND r >= -most - 0.0001) THEN RETURN r; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM ms.fail(8115, format('Arithmetic overflow error converting expression to data type %s.', kind));
  RETURN NULL;
END $$;
CREATE FUNCTION ms.to_money(x text, attempt boolean) RETURNS numeric LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE t text := replace(replace(btrim(x, ' '), ',', ''), '$', '');
BEGIN
  IF x IS NULL THEN RETURN NULL; END IF;
  IF t = '' THEN RETURN 0; END IF;
  IF t !~ '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)$' THEN
    IF attempt THEN RETURN NULL; END IF;
    PERFORM ms.fail(235, 'Cannot convert a char value to money. The char value has incorrect syntax.');
  END IF;
  RETURN t::numeric;
END $$;
CREATE FUNCTION ms.to_float(x text, source text, attempt boolean) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE t text := btrim(x, ' ');
BEGIN
  IF x IS NULL THEN RETURN NULL; END IF;
  IF t = '' THEN RETURN 0; END IF;
  IF t !~ '^[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eEdD][+-]?[0-9]+)?$' THEN
    IF attempt THEN RETURN NULL; END IF;
    PERFORM ms.fail(8114, format('Error converting data type %s to float.', source));
  END IF;
  RETURN translate(t, 'dD', 'ee')::float8;
END $$;
CREATE FUNCTION ms.to_bit(x text, source text, attempt boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE t text := lower(btrim(x, ' '));
BEGIN
  IF x IS NULL THEN RETURN NULL; END IF;
  IF t IN ('true', 'false') THEN RETURN t = 'true'; END IF;
  IF t ~ '^[+-]?[0-9]*$' THEN RETURN coalesce(nullif(t, ''), '0')::numeric <> 0; END IF;
  IF attempt THEN RETURN NULL; END IF;
  RETURN ms.fail_bool(245, format('Conversion failed when converting the %s value ''%s'' to data type bit.', source, x));
END $$;
CREATE FUNCTION ms.to_guid(x text, attempt boolean) RETURNS uuid LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE t text := left(ltrim(btrim(x, ' '), '{'), 36);
BEGIN
  IF x IS NULL THEN RETURN NULL; END IF;
  IF t ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$' THEN RETURN t::uuid; END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM ms.fail(8169, 'Conversion failed when converting from a character string to uniqueidentifier.');
  RETURN NULL;
END $$;
CREATE FUNCTION ms.to_bytes(x text, style int, attempt boolean) RETURNS bytea LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE t text := x;
BEGIN
  IF x IS NULL THEN RETURN NULL; END IF;
  IF style = 1 AND t ~ '^0x' THEN t := substr(t, 3); ELSIF style = 1 THEN t := 'x'; END IF;
  IF t ~ '^([0-9a-fA-F]{2})*$' THEN RETURN decode(t, 'hex'); END IF;
  IF attempt THEN RETURN NULL; END IF;
  PERFORM ms.fail(8114, 'Error converting data type varchar to varbinary.');
  RETURN NULL;
END $$;

-- Six digits, as CONVERT's style 0 writes a float.
CREATE FUNCTION ms.float_text(x float8) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE e int; m numeric;
BEGIN
  IF x = 0 THEN RETURN '0'; END IF;
  e := floor(log(abs(x)::numeric));
  m := round(x::numeric, 5 - e);
  IF abs(m) >= 10::numeric ^ (e + 1) THEN e := e + 1; END IF;
  IF e < -5 OR e > 14 OR (e > 5 AND m <> trunc(x::numeric)) OR e > 5 THEN
    RETURN trim_scale(round(x::numeric / 10::numeric ^ e, 5)) || 'e' || CASE WHEN e < 0 THEN '-' ELSE '+' END || lpad(abs(e)::text, 3, '0');
  END IF;
  RETURN trim_scale(m)::text;
END $$;

-- LIKE with %, _, [a-z] and [^a-z] as a regular expression.
CREATE FUNCTION ms.pattern(p text, esc text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE r text := ''; i int := 1; c text; inside boolean := false; rest text;
BEGIN
  WHILE i <= length(p) LOOP
    c := substr(p, i, 1);
    IF esc IS NOT NULL AND c = esc AND i < length(p) THEN
      i := i + 1; r := r || regexp_replace(substr(p, i, 1), '([^[:alnum:]])', '\\\1');
    ELSIF inside THEN
      IF c = ']' THEN inside := false; r := r || ']'; ELSIF c IN ('\', '[') THEN r := r || '\' || c; ELSE r := r || c; END IF;
    ELSIF c = '%' THEN r := r || '.*';
    ELSIF c = '_' THEN r := r || '.';
    ELSIF c = '[' AND position(']' IN substr(p, i + 1)) > 0 THEN
      inside := true; r := r || '[';
      IF substr(p, i + 1, 1) = '^' THEN r := r || '^'; i := i + 1; END IF;
    ELSE r := r || CASE WHEN c ~ '[[:alnum:][:space:]]' OR ascii(c) > 127 THEN c ELSE '\' || c END;
    END IF;
    i := i + 1;
  END LOOP;
  RETURN '^' || r || '$';
END $$;
CREATE FUNCTION ms.is_like(x text, p text, esc text, folded boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
  IF folded THEN RETURN ms.low(x) ~ ('(?s)' || ms.pattern(ms.low(p), ms.low(esc))); END IF;
  RETURN (x COLLATE "C") ~ ('(?s)' || ms.pattern(p, esc));
END $$;
CREATE FUNCTION ms.index_of(needle text, hay text, start int, folded boolean) RETURNS int LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE at int; first int := greatest(start, 1);
BEGIN
  IF ms.astral(hay) THEN hay := ms.spread(hay); needle := ms.spread(needle); END IF;
  hay := substr(hay, first);
  IF folded THEN at := strpos(ms.low(hay), ms.low(needle)); ELSE at := strpos(hay COLLATE "C", needle COLLATE "C"); END IF;
  RETURN CASE WHEN at = 0 THEN 0 ELSE at + first - 1 END;
END $$;
CREATE FUNCTION ms.replaced(x text, what text, by text, folded boolean) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
SELECT CASE WHEN what = '' THEN x WHEN folded THEN
 regexp_replace(x COLLATE "C", regexp_replace(what COLLATE "C", '([^[:alnum:][:space:]])', '\\\1', 'g'), replace(by COLLATE "C", '\', '\\'), 'gi')
 ELSE replace(x COLLATE "C", what, by) END $$;
CREATE FUNCTION ms.quoted(x text, sign text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
SELECT CASE WHEN length(x) > 128 THEN NULL WHEN sign IN ('[', ']') THEN '[' || replace(x, ']', ']]') || ']'
 WHEN sign = '"' THEN '"' || replace(x, '"', '""') || '"' ELSE '''' || replace(x, '''', '''''') || '''' END $$;
CREATE FUNCTION ms.substr_units(x text, start int, n int) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF n < 0 THEN RETURN ms.fail(537, 'Invalid length parameter passed to the LEFT or SUBSTRING function.'); END IF;
  IF ms.astral(x) THEN
    RETURN ms.gather(substr(ms.spread(x), greatest(start, 1), greatest(n + least(start - 1, 0), 0)));
  END IF;
  RETURN substr(x, greatest(start, 1), greatest(n + least(start - 1, 0), 0));
END $$;
-- Text as bytes: UTF-16 for the wide types, code page 1252 for the others; and back.
CREATE FUNCTION ms.unit_hex(u int) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
 $$ SELECT lpad(to_hex(u & 255), 2, '0') || lpad(to_hex(u >> 8), 2, '0') $$;
CREATE FUNCTION ms.bytes_of(x text, wide boolean) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
BEGIN
  IF NOT wide THEN RETURN (SELECT string_agg(convert_to(p, 'WIN1252'), '\x00'::bytea ORDER BY i) FROM string_to_table(x, U&'\+10F800') WITH ORDINALITY AS t(p, i)); END IF;
  IF octet_length(x) = length(x) THEN
    RETURN decode(regexp_replace(encode(convert_to(x, 'UTF8'), 'hex'), '(..)', '\100', 'g'), 'hex');
  END IF;
  RETURN (SELECT decode(string_agg(CASE WHEN a = 1112064 THEN '0000' WHEN a >= 1110016 AND a < 1112064 THEN ms.unit_hex(a - 1110016 + 55296)
   WHEN a < 65536 THEN ms.unit_hex(a)
   ELSE ms.unit_hex(55296 + ((a - 65536) >> 10)) || ms.unit_hex(56320 + ((a - 65536) & 1023)) END, '' ORDER BY i), 'hex')
   FROM (SELECT ascii(c) AS a, i FROM string_to_table(x, NULL) WITH ORDINALITY AS t(c, i)) q);
END $$;
CREATE FUNCTION ms.ansi_of(x bytea) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
SELECT CASE WHEN position('\x00'::bytea IN x) = 0 THEN convert_from(x, 'WIN1252') ELSE
 (SELECT string_agg(CASE get_byte(x, i) WHEN 0 THEN U&'\+10F800' ELSE convert_from(substring(x, i + 1, 1), 'WIN1252') END, '' ORDER BY i)
  FROM generate_series(0, octet_length(x) - 1) AS i) END $$;
CREATE FUNCTION ms.text_of(x bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE n int := octet_length(x) / 2; i int := 0; u int; v int; parts text[] := '{}';
BEGIN
  WHILE i < n LOOP
    u := get_byte(x, 2 * i) | (get_byte(x, 2 * i + 1) << 8);
    IF u BETWEEN 55296 AND 56319 AND i + 1 < n THEN
      v := get_byte(x, 2 * i + 2) | (get_byte(x, 2 * i + 3) << 8);
      IF v BETWEEN 56320 AND 57343 THEN u := 65536 + ((u - 55296) << 10) + (v - 56320); i := i + 1; END IF;
    END IF;
    parts := parts || chr(CASE WHEN u = 0 THEN 1112064 WHEN u BETWEEN 55296 AND 57343 THEN 1110016 + u - 55296 ELSE u END);
    i := i + 1;
  END LOOP;
  RETURN array_to_string(parts, '');
END $$;

CREATE FUNCTION ms.open_json(x text) RETURNS TABLE (key text, value text, type int) LANGUAGE plpgsql AS $$
DECLARE j jsonb;
BEGIN
  IF x IS NULL THEN RETURN; END IF;
  BEGIN j := x::json::jsonb; EXCEPTION WHEN others THEN
    PERFORM ms.fail(13609, 'JSON text is not properly formatted. Unexpected character is found.'); END;
  IF json_typeof(x::json) = 'array' THEN
    RETURN QUERY SELECT (o - 1)::text, CASE json_typeof(v) WHEN 'string' THEN v #>> '{}' WHEN 'null' THEN NULL ELSE v::text END,
      CASE json_typeof(v) WHEN 'null' THEN 0 WHEN 'string' THEN 1 WHEN 'number' THEN 2 WHEN 'boolean' THEN 3 WHEN 'array' THEN 4 ELSE 5 END
      FROM json_array_elements(x::json) WITH ORDINALITY AS e(v, o);
  ELSE
    RETURN QUERY SELECT e.k, CASE json_typeof(v) WHEN 'string' THEN v #>> '{}' WHEN 'null' THEN NULL ELSE v::text END,
      CASE json_typeof(v) WHEN 'null' THEN 0 WHEN 'string' THEN 1 WHEN 'number' THEN 2 WHEN 'boolean' THEN 3 WHEN 'array' THEN 4 ELSE 5 END
      FROM json_each(x::json) AS e(k, v);
  END IF;
END $$;
