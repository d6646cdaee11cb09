"""Reducers by name: what turns a layer's cloud of points into a picture."""

from layerlens.plugins.registry import REDUCERS

__all__ = ["available", "distributions", "factory", "get", "register", "unregister"]

available = REDUCERS.available
distributions = REDUCERS.distributions
factory = REDUCERS.factory
get = REDUCERS.get
register = REDUCERS.register
unregister = REDUCERS.unregister
