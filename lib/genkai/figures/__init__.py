"""One function per figure: tables and records in, a matplotlib Figure out, no statistics inside."""
