"""Reducers by name: what turns a layer's cloud of points into a picture."""

from layerlens.plugins.registry import Registry

__all__ = ["available", "distributions", "factory", "get", "register", "registry", "unregister"]

registry = Registry("layerlens.reducers", "reducer")
available = registry.available
distributions = registry.distributions
factory = registry.factory
get = registry.get
register = registry.register
unregister = registry.unregister
