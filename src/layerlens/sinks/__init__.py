"""Sinks by name: what writes pictures to files and elsewhere."""

from layerlens.plugins.registry import Registry

__all__ = ["available", "distributions", "factory", "get", "register", "registry", "unregister"]

registry = Registry("layerlens.sinks", "sink", extras={"figure": "figures"})
available = registry.available
distributions = registry.distributions
factory = registry.factory
get = registry.get
register = registry.register
unregister = registry.unregister
