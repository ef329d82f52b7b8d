"""The run-time type checker that the tests switch on for the whole package."""

from beartype import BeartypeConf, beartype

# An int is welcome where a float is asked for, as type checkers have it (PEP 484).
checker = beartype(conf=BeartypeConf(is_pep484_tower=True))
