"""T-SQL: read (tokens, expressions, queries, statements), bound to types and names, and said in PostgreSQL's words."""
