"""Packages that only some plugins need, imported when they are used."""

from __future__ import annotations

import importlib
from typing import Any

from layerlens.errors import PluginError

__all__ = ["needed"]


def needed(module: str, who: str, extra: str) -> Any:
    """Import a package of an extra and return it.

    A plugin that calls this when it is used, rather than importing at its top, can be listed and
    asked for its suffixes where the package is missing.

    Parameters
    ----------
    module : str
        What is imported, ``"pyarrow.parquet"`` say.
    who : str
        What needs it, for the message: ``"the sink 'parquet'"``.
    extra : str
        Name of the extra of ``torch-layerlens`` that brings it.

    Raises
    ------
    PluginError
        If it is not installed, or installed and broken.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if isinstance(error, ModuleNotFoundError) and error.name == package:
            what = f"needs {package}, which is not installed"
        else:
            what = f"needs {package}, which cannot be imported ({error})"
        raise PluginError(f'{who} {what}: pip install "torch-layerlens[{extra}]"') from error
