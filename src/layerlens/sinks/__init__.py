"""Sinks by name: what writes pictures to files and elsewhere."""

from layerlens.plugins.registry import SINKS

__all__ = ["available", "distributions", "factory", "get", "register", "unregister"]

available = SINKS.available
distributions = SINKS.distributions
factory = SINKS.factory
get = SINKS.get
register = SINKS.register
unregister = SINKS.unregister
