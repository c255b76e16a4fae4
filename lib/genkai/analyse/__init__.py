"""Pure functions: tables in, tables and JSON records out; no files, no figures."""
