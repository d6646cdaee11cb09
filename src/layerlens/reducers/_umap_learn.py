"""umap-learn, imported without its remark on TensorFlow."""

import warnings

with warnings.catch_warnings():
    # fatal where warnings are errors
    warnings.simplefilter("ignore", ImportWarning)
    import umap

__all__ = ["umap"]
