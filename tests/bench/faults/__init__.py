"""The fault bench: real loopback systems with one injected limit each, and what the diagnosis makes of them.

`cd tests && ../.venv/bin/python -m bench.faults [CASE…] [--group faults|healthy|unknown] [--into DIR] [--record DIR]`
"""
