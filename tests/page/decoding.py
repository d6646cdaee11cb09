"""Read a page again, with nothing of what wrote it."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np


class Page(HTMLParser):
    """The elements of a page, its head, and its sections as arrays."""

    def __init__(self, text):
        super().__init__()
        self.text = text
        self.elements = []  # (tag, attributes)
        self.content = {}  # by id, or by tag
        self._inside = None
        self.feed(text)
        self.close()
        self.head = json.loads(self.content["ll-head"])

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.elements.append((tag, attrs))
        if tag in ("script", "style", "title"):
            self._inside = attrs.get("id") or (attrs.get("type") or tag)
            self.content[self._inside] = ""

    def handle_endtag(self, tag):
        if tag in ("script", "style", "title"):
            self._inside = None

    def handle_data(self, data):
        if self._inside is not None:
            self.content[self._inside] += data

    @property
    def policy(self):
        [content] = [
            a["content"]
            for tag, a in self.elements
            if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
        ]
        return dict(part.strip().split(" ", 1) for part in content.split(";"))

    def hash_of(self, name):
        digest = hashlib.sha256(self.content[name].encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    @property
    def sections(self):
        return sorted(n.removeprefix("ll-") for n in self.content if re.match("ll-(?!head)", n))

    def raw(self, name):
        return base64.b64decode(self.content[f"ll-{name}"], validate=True)

    def array(self, name, dtype, *shape):
        return np.frombuffer(self.raw(name), np.dtype(dtype)).reshape(shape)

    @property
    def n(self):
        return self.head["n"]

    @property
    def n_layers(self):
        return len(self.head["layers"])

    def coordinates(self):
        """All layers' coordinates, in the run's units: (L, n, C), NaN where there are none."""
        components = self.head["components"]
        q = self.array("positions", "<u2", self.n_layers, self.n, components).astype(float)
        q[..., 1] = 65535 - q[..., 1]
        frame = self.head["frame"]
        found = (q / 65535 - 0.5) * frame["scale"] + np.array(frame["center"])
        if "present" in self.sections:
            found[self.array("present", "u1", self.n_layers, self.n) == 0] = np.nan
        return found

    def column(self, name):
        """A column as a list: strings, floats, None where there is no value."""
        number = [c["name"] for c in self.head["columns"]].index(name)
        about = self.head["columns"][number]
        if about["kind"] == "text":
            return [text or None for text in json.loads(self.content[f"ll-column-{number}"])]
        if about["kind"] == "number":
            values = self.array(f"column-{number}", "<f4", self.n).tolist()
            return [None if value != value else value for value in values]
        codes = self.array(
            f"column-{number}", "u1" if len(about["levels"]) <= 255 else "<u2", self.n
        )
        levels = [*about["levels"], None]
        if (codes == len(about["levels"])).any():
            assert about["missing"] == len(about["levels"])
        else:
            assert "missing" not in about
        return [levels[code] for code in codes]

    def neighbors(self):
        about = self.head["neighbors"]
        dtype = "<u2" if self.n <= 65535 else "<u4"
        return self.array("neighbors", dtype, self.n_layers, about["rows"], about["k"]).astype(int)

    def script(self):
        return self.content["module"]
