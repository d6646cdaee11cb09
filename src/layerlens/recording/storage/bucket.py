"""A store in a bucket of an object store, or on a web server: read only, through obstore."""

from __future__ import annotations

import datetime as dt
import os
import re
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from layerlens.errors import StoreError
from layerlens.plugins.extras import needed
from layerlens.recording.storage.files import MAX_FILE, DamagedStoreError, Folder

__all__ = ["Bucket", "Source", "is_url", "source_of"]

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # a letter and a colon are a drive of Windows


class Bucket:
    """Reads the files of a store that lies elsewhere: what `Folder` does for one on disk."""

    def __init__(self, objects: Any, root: str, prefix: str = "") -> None:
        self.objects = objects
        self.root = root.rstrip("/")
        self._prefix = prefix
        self._obstore = needed("obstore", "reading from an object store", "zarr")

    def __reduce__(self) -> tuple[Any, ...]:
        return Bucket, (self.objects, self.root, self._prefix)

    def below(self, name: str) -> Bucket:
        """Return a store that lies in this one."""
        return Bucket(self.objects, f"{self.root}/{name}", f"{self._prefix}{name}/")

    def path(self, name: str) -> str:
        """Return the whole path of a file, for messages too."""
        return f"{self.root}/{name}"

    def why_no_store(self, name: str) -> str:
        """Return why there is no store here, given that a file is missing."""
        return f"there is no store at {self.root!r}: it has no {name!r}"

    def holds(self, name: str) -> bool:
        """Tell whether a file is there.

        Raises
        ------
        StoreError
            If that cannot be asked.
        """
        try:
            self._obstore.head(self.objects, self._prefix + name)
        except FileNotFoundError:
            return False
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise self._failed(name, error) from error
        return True

    def read(self, name: str, *, size: int | None = None, limit: int = MAX_FILE) -> bytes:
        """Read a whole file; for parameters and errors see `Folder.read`."""
        try:
            answer = self._obstore.get(self.objects, self._prefix + name)
            has = int(answer.meta["size"])
            if size is not None and has != size:
                raise self.damaged(name, f"it has {has} bytes, and should have {size}")
            if has > limit:
                raise self.damaged(name, f"it has {has} bytes, more than {limit}")
            return bytes(memoryview(answer.bytes()))
        except FileNotFoundError:
            raise self.damaged(name, "the file is missing") from None
        except DamagedStoreError:
            raise
        except (self._obstore.exceptions.BaseError, OSError) as error:
            raise self._failed(name, error) from error

    def damaged(self, name: str, why: str) -> DamagedStoreError:
        """Return an error that names a damaged file."""
        path = self.path(name)
        return DamagedStoreError(f"{path!r} is damaged: {why}", (path,))

    def _failed(self, name: str, error: BaseException) -> StoreError:
        # what comes after the first line is Rust's view of it; the cause has it all
        text = str(error).strip().partition("\n")[0]
        return StoreError(f"cannot read {self.path(name)!r}: {text}")


Source = Folder | Bucket


def is_url(text: str) -> bool:
    """Tell whether a text is a URL rather than a path."""
    return _URL.match(text) is not None


def source_of(given: Any) -> Source:
    """Return where a store is read from.

    `given`: a folder; a URL such as ``"s3://bucket/run.zarr"``; or an object store whose prefix is
    the store's.

    Raises
    ------
    PluginError
        If obstore is needed, and not installed.
    StoreError
        If it is none of these.
    """
    if isinstance(given, Folder | Bucket):
        return given
    if isinstance(given, os.PathLike):
        return Folder(given)
    if isinstance(given, str):
        if not is_url(given):
            return Folder(given)
        if given.startswith("file://"):
            return Folder(url2pathname(urlsplit(given).path))
        return Bucket(_objects_at(given), given)
    if type(given).__module__.partition(".")[0] == "obstore":
        return Bucket(given, _title(given))
    raise StoreError(
        "a store is the path of a folder, a URL such as 's3://bucket/run.zarr', or one of "
        f"obstore's stores; got {type(given).__name__}"
    )


def _objects_at(url: str) -> Any:
    store = needed("obstore.store", f"reading {url!r}", "zarr")
    options: dict[str, Any] = {
        "retry_config": {"max_retries": 3, "retry_timeout": dt.timedelta(seconds=30)}
    }
    try:
        if url.startswith("http://"):
            options["client_options"] = {"allow_http": True}
        return store.from_url(url, **options)
    except Exception as error:
        text = str(error).strip().partition("\n")[0]
        raise StoreError(
            f"cannot read {url!r}: {text}. URLs are s3://, gs://, az:// and https://; what else "
            "there is to say, as a server of your own, goes into one of obstore's stores: "
            "Activations.open(obstore.store.S3Store('bucket', prefix='run.zarr', ...))"
        ) from error


def _title(objects: Any) -> str:
    """Return what to call an object store. No URL: that would be opened without its options."""
    config: Any = getattr(objects, "config", None) or {}
    where = [config.get("bucket"), getattr(objects, "prefix", None)]
    kind = type(objects).__name__
    return ":".join([kind, "/".join(str(part) for part in where if part)]) if any(where) else kind
