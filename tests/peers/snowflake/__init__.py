"""A local Snowflake account: fakesnow behind TLS, and what fakesnow has not."""
