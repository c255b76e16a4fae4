"""Genkai (限界, "limit"): find the limit of a web service and say, with evidence, what it is made of."""

__version__ = "0.1.0"
