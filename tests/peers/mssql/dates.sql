-- Moments are counted in ticks of 100 ns since 0001-01-01.
CREATE FUNCTION ms.ticks(x timestamp) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
 $$ SELECT (extract(epoch FROM x) * 10000000)::int8 + 621355968000000000 $$;
CREATE FUNCTION ms.ticks(x date) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
 $$ SELECT (x - date '0001-01-01')::int8 * 864000000000 $$;
CREATE FUNCTION ms.moment(t int8) RETURNS timestamp LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
 $$ SELECT timestamp '0001-01-01' + (t / 864000000000)::int * interval '1 day' + ((t % 864000000000) / 10) * interval '1 microsecond' $$;
CREATE FUNCTION ms.day(t int8) RETURNS date LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
 $$ SELECT date '0001-01-01' + (t / 864000000000)::int $$;
CREATE FUNCTION ms.rounded(t int8, scale int) RETURNS int8 LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE u int8;
BEGIN
  IF scale = 7 THEN RETURN t; END IF;
  u := CASE scale WHEN 6 THEN 10 WHEN 5 THEN 100 WHEN 4 THEN 1000 WHEN 3 THEN 10000 WHEN 2 THEN 100000 WHEN 1 THEN 1000000 ELSE 10000000 END;
  RETURN (t + u / 2) / u * u;
END $$;

-- datetime keeps 1/300 s, shown as .000, .003, .007; smalldatetime keeps minutes.
CREATE FUNCTION ms.datetime(t int8) RETURNS timestamp LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE d int8 := t / 864000000000; thirds int8 := round((t % 864000000000)::numeric * 3 / 100000);
BEGIN
  IF d < 639905 OR d > 3652058 THEN
    PERFORM ms.fail(242, 'The conversion of a varchar data type to a datetime data type resulted in an out-of-range value.');
  END IF;
  RETURN timestamp '0001-01-01' + d::int * interval '1 day' + floor(thirds::numeric * 10 / 3 + 0.5)::int8 * interval '1 millisecond';
END $$;
CREATE FUNCTION ms.smalldatetime(t int8) RETURNS timestamp LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
  IF t < 599266080000000000 OR t >= 655889184000000000 THEN
    PERFORM ms.fail(242, 'The conversion of a varchar data type to a smalldatetime data type resulted in an out-of-range value.');
  END IF;
  RETURN ms.moment((t + 300020000) / 600000000 * 600000000);
END $$;

-- A text as (ticks, minutes of offset or null); a time alone is of 1900-01-01.
CREATE FUNCTION ms.parsed(x text) RETURNS ms.dto LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE m text[]; t text := btrim(x, ' '); d date := date '1900-01-01'; n int8 := 0; z int2 := NULL; h int; s timestamp;
BEGIN
  IF t = '' THEN RETURN (ms.ticks(d), NULL)::ms.dto; END IF;
  m := regexp_match(t, '^(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{4})(\d{2})(\d{2}))?(?:[ T]*(\d{1,2}):(\d{2})(?::(\d{2})(?:[.:](\d{1,7}))?)?(?: *([AaPp][Mm]))?)?(?: *(Z|[+-]\d{2}:\d{2}))?$');
  IF m IS NULL THEN
    IF t ~ '^[+-]?[0-9.]+$' THEN RETURN NULL; END IF;
    BEGIN s := t::timestamp; EXCEPTION WHEN others THEN RETURN NULL; END;
    IF s IN ('infinity', '-infinity') OR extract(year FROM s) > 9999 OR extract(year FROM s) < 1 THEN RETURN NULL; END IF;
    RETURN (ms.ticks(s), NULL)::ms.dto;
  END IF;
  BEGIN
    IF m[1] IS NOT NULL THEN d := make_date(m[1]::int, m[2]::int, m[3]::int);
    ELSIF m[4] IS NOT NULL THEN d := make_date(m[4]::int, m[5]::int, m[6]::int); END IF;
  EXCEPTION WHEN others THEN RETURN NULL; END;
  IF m[7] IS NOT NULL THEN
    h := m[7]::int;
    IF m[11] IS NOT NULL THEN h := h % 12 + CASE WHEN lower(m[11]) = 'pm' THEN 12 ELSE 0 END; END IF;
    IF h > 23 OR m[8]::int > 59 OR coalesce(m[9], '0')::int > 59 THEN RETURN NULL; END IF;
    n := ((h * 60 + m[8]::int) * 60 + coalesce(m[9], '0')::int)::int8 * 10000000 + rpad(coalesce(m[10], '0'), 7, '0')::int8;
  END IF;
  IF m[12] = 'Z' THEN z := 0;
  ELSIF m[12] IS NOT NULL THEN z := (substr(m[12], 1, 1) || '1')::int * (substr(m[12], 2, 2)::int * 60 + substr(m[12], 5, 2)::int); END IF;
  RETURN (ms.ticks(d) + n, z)::ms.dto;
END $$;
CREATE FUNCTION ms.read_moment(x text, attempt boolean) RETURNS ms.dto LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE found ms.dto := ms.parsed(x);
BEGIN
  IF x IS NOT NULL AND (found).ticks IS NULL AND NOT attempt THEN
    PERFORM ms.fail(241, 'Conversion failed when converting date and/or time from character string.');
  END IF;
  RETURN found;
END $$;
-- The usual spelling is read without a subtransaction; all others by the function above.
CREATE FUNCTION ms.read_ticks(x text, scale int, attempt boolean) RETURNS int8 LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE n int8; u int8;
BEGIN
  IF x ~ '^(?!0000)\d{4}-(0[1-9]|1[0-2])-([01]\d|2[0-8])([T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,7})?)?$' AND substr(x, 9, 2) <> '00' THEN
    n := (make_date(substr(x, 1, 4)::int, substr(x, 6, 2)::int, substr(x, 9, 2)::int) - date '0001-01-01')::int8 * 864000000000
      + CASE WHEN length(x) = 10 THEN 0 ELSE
          ((substr(x, 12, 2)::int * 60 + substr(x, 15, 2)::int) * 60 + substr(x, 18, 2)::int)::int8 * 10000000
          + CASE WHEN length(x) = 19 THEN 0 ELSE rpad(substr(x, 21), 7, '0')::int8 END END;
  ELSE
    n := (ms.read_moment(x, attempt)).ticks;
  END IF;
  IF scale = 7 THEN RETURN n; END IF;
  u := CASE scale WHEN 6 THEN 10 WHEN 5 THEN 100 WHEN 4 THEN 1000 WHEN 3 THEN 10000 WHEN 2 THEN 100000 WHEN 1 THEN 1000000 ELSE 10000000 END;
  RETURN (n + u / 2) / u * u;
END $$;
CREATE FUNCTION ms.offset_of(x text, scale int, attempt boolean) RETURNS ms.dto LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE found ms.dto; n int8; z int;
BEGIN
  IF x ~ '^\d{4}-.* ?[+-](0\d|1[0-4]):[0-5]\d$' THEN
    z := (substr(x, length(x) - 5, 1) || '1')::int * (substr(x, length(x) - 4, 2)::int * 60 + right(x, 2)::int);
    n := ms.read_ticks(rtrim(left(x, length(x) - 6)), scale, attempt);
    RETURN CASE WHEN n IS NOT NULL THEN (n - z::int8 * 600000000, z)::ms.dto END;
  END IF;
  IF x !~ '(Z|[+-]\d+:\d+)\s*$' THEN
    n := ms.read_ticks(x, scale, attempt);
    RETURN CASE WHEN n IS NOT NULL THEN (n, 0)::ms.dto END;
  END IF;
  found := ms.read_moment(x, attempt);
  IF (found).ticks IS NULL THEN RETURN NULL; END IF;
  RETURN (ms.rounded((found).ticks, scale) - coalesce((found).minutes, 0)::int8 * 600000000, coalesce((found).minutes, 0))::ms.dto;
END $$;
-- Local ticks of a datetimeoffset.
CREATE FUNCTION ms.local(x ms.dto) RETURNS int8 LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
 $$ SELECT (x).ticks + (x).minutes::int8 * 600000000 $$;

CREATE FUNCTION ms.fraction(t int8, scale int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
 $$ SELECT CASE WHEN scale = 0 THEN '' ELSE '.' || left(lpad((t % 10000000)::text, 7, '0'), scale) END $$;
CREATE FUNCTION ms.moment_text(t int8, scale int, style int, kind text) RETURNS text LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE m timestamp := ms.moment(t); f text := ms.fraction(t, scale); three text := ms.fraction(t, 3);
BEGIN
  IF kind = 'time' THEN RETURN to_char(m, 'HH24:MI:SS') || f; END IF;
  IF kind = 'date' AND style IN (0, 20, 21, 23, 120, 121, 126) THEN RETURN to_char(m, 'YYYY-MM-DD'); END IF;
  IF kind = 'datetime2' AND style = 0 THEN style := 121; END IF;
  RETURN CASE style
    WHEN 0 THEN regexp_replace(to_char(m, 'Mon ') || lpad(extract(day FROM m)::text, 2) || to_char(m, ' YYYY ') || lpad(to_char(m, 'FMHH12'), 2) || to_char(m, ':MIAM'), '^$', '')
    WHEN 1 THEN to_char(m, 'MM/DD/YY') WHEN 101 THEN to_char(m, 'MM/DD/YYYY') WHEN 102 THEN to_char(m, 'YYYY.MM.DD')
    WHEN 103 THEN to_char(m, 'DD/MM/YYYY') WHEN 104 THEN to_char(m, 'DD.MM.YYYY') WHEN 105 THEN to_char(m, 'DD-MM-YYYY')
    WHEN 108 THEN to_char(m, 'HH24:MI:SS') WHEN 110 THEN to_char(m, 'MM-DD-YYYY') WHEN 111 THEN to_char(m, 'YYYY/MM/DD')
    WHEN 112 THEN to_char(m, 'YYYYMMDD') WHEN 114 THEN to_char(m, 'HH24:MI:SS') || ':' || substr(three, 2)
    WHEN 20 THEN to_char(m, 'YYYY-MM-DD HH24:MI:SS') WHEN 120 THEN to_char(m, 'YYYY-MM-DD HH24:MI:SS') WHEN 23 THEN to_char(m, 'YYYY-MM-DD')
    WHEN 21 THEN to_char(m, 'YYYY-MM-DD HH24:MI:SS') || f WHEN 25 THEN to_char(m, 'YYYY-MM-DD HH24:MI:SS') || f
    WHEN 121 THEN to_char(m, 'YYYY-MM-DD HH24:MI:SS') || f
    WHEN 126 THEN to_char(m, 'YYYY-MM-DD"T"HH24:MI:SS') || CASE WHEN kind <> 'datetime2' AND f = '.000' THEN '' ELSE f END
    WHEN 127 THEN to_char(m, 'YYYY-MM-DD"T"HH24:MI:SS') || f
    ELSE ms.fail(281, format('%s is not a valid style number when converting from %s to a character string.', style, kind)) END;
END $$;
CREATE FUNCTION ms.zone_text(minutes int) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS
 $$ SELECT CASE WHEN minutes < 0 THEN '-' ELSE '+' END || lpad((abs(minutes) / 60)::text, 2, '0') || ':' || lpad((abs(minutes) % 60)::text, 2, '0') $$;
CREATE FUNCTION ms.offset_text(x ms.dto, scale int, style int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN (x).ticks IS NULL THEN NULL WHEN style = 127 THEN ms.moment_text((x).ticks, scale, 126, 'datetime2') || 'Z'
 WHEN style = 126 THEN ms.moment_text(ms.local(x), scale, 126, 'datetime2') || ms.zone_text((x).minutes)
 ELSE ms.moment_text(ms.local(x), scale, 121, 'datetime2') || ' ' || ms.zone_text((x).minutes) END $$;

CREATE FUNCTION ms.date_add(part text, n int8, t int8) RETURNS int8 LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE m timestamp; r int8;
BEGIN
  IF part IN ('year', 'quarter', 'month') THEN
    m := ms.moment(t / 864000000000 * 864000000000) + (n * CASE part WHEN 'year' THEN 12 WHEN 'quarter' THEN 3 ELSE 1 END)::int * interval '1 month';
    r := ms.ticks(m) + t % 864000000000;
  ELSE
    r := t + CASE part WHEN 'nanosecond' THEN round(n::numeric / 100)::int8 ELSE n * ms.unit(part) END;
  END IF;
  IF r < 0 OR r >= 3155378976000000000 THEN
    PERFORM ms.fail(517, 'Adding a value to a ''datetime2'' column caused an overflow.');
  END IF;
  RETURN r;
EXCEPTION WHEN datetime_field_overflow OR numeric_value_out_of_range THEN
  PERFORM ms.fail(517, 'Adding a value to a ''datetime2'' column caused an overflow.'); RETURN NULL;
END $$;
CREATE FUNCTION ms.unit(part text) RETURNS int8 LANGUAGE sql IMMUTABLE AS $$
SELECT CASE part WHEN 'week' THEN 6048000000000 WHEN 'day' THEN 864000000000 WHEN 'dayofyear' THEN 864000000000 WHEN 'weekday' THEN 864000000000
 WHEN 'hour' THEN 36000000000 WHEN 'minute' THEN 600000000 WHEN 'second' THEN 10000000 WHEN 'millisecond' THEN 10000
 WHEN 'microsecond' THEN 10 ELSE 1 END $$;
CREATE FUNCTION ms.date_diff(part text, a int8, b int8) RETURNS int8 LANGUAGE sql IMMUTABLE STRICT AS $$
SELECT CASE
 WHEN part = 'year' THEN (extract(year FROM ms.moment(b)) - extract(year FROM ms.moment(a)))::int8
 WHEN part = 'quarter' THEN ((extract(year FROM ms.moment(b)) * 4 + extract(quarter FROM ms.moment(b))) - (extract(year FROM ms.moment(a)) * 4 + extract(quarter FROM ms.moment(a))))::int8
 WHEN part = 'month' THEN ((extract(year FROM ms.moment(b)) * 12 + extract(month FROM ms.moment(b))) - (extract(year FROM ms.moment(a)) * 12 + extract(month FROM ms.moment(a))))::int8
 WHEN part = 'week' THEN (b / 864000000000 + 1) / 7 - (a / 864000000000 + 1) / 7
 WHEN part = 'nanosecond' THEN (b - a) * 100
 ELSE b / ms.unit(part) - a / ms.unit(part) END $$;
CREATE FUNCTION ms.date_part(part text, t int8) RETURNS int LANGUAGE sql IMMUTABLE STRICT AS $$
SELECT CASE part
 WHEN 'nanosecond' THEN (t % 10000000 * 100)::int WHEN 'microsecond' THEN (t % 10000000 / 10)::int
 WHEN 'millisecond' THEN (t % 10000000 / 10000)::int WHEN 'second' THEN (t / 10000000 % 60)::int
 WHEN 'minute' THEN (t / 600000000 % 60)::int WHEN 'hour' THEN (t / 36000000000 % 24)::int
 WHEN 'weekday' THEN extract(dow FROM ms.moment(t))::int + 1 WHEN 'dayofyear' THEN extract(doy FROM ms.moment(t))::int
 WHEN 'iso_week' THEN extract(week FROM ms.moment(t))::int
 WHEN 'week' THEN ((extract(doy FROM ms.moment(t))::int + extract(dow FROM date_trunc('year', ms.moment(t)))::int - 1) / 7 + 1)
 WHEN 'day' THEN extract(day FROM ms.moment(t))::int WHEN 'month' THEN extract(month FROM ms.moment(t))::int
 WHEN 'quarter' THEN extract(quarter FROM ms.moment(t))::int ELSE extract(year FROM ms.moment(t))::int END $$;
CREATE FUNCTION ms.date_name(part text, t int8) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
SELECT CASE part WHEN 'month' THEN to_char(ms.moment(t), 'FMMonth') WHEN 'weekday' THEN to_char(ms.moment(t), 'FMDay')
 ELSE ms.date_part(part, t)::text END $$;
