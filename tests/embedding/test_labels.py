import numpy as np
import pytest
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from layerlens.embedding.labels import label_accuracy, label_purity
from layerlens.embedding.neighbors import nearest_neighbors


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, 120)
    X = (rng.normal(size=(120, 3)) + y[:, None]).astype(np.float32)
    return X, y


def test_accuracy_is_that_of_leaving_one_out_in_scikit_learn(labelled):
    X, y = labelled
    found = label_accuracy(y, nearest_neighbors(X, 10).indices)
    classifier = KNeighborsClassifier(10, algorithm="brute")
    assert found == pytest.approx(cross_val_score(classifier, X, y, cv=LeaveOneOut()).mean())


def test_names_of_classes_count_like_their_numbers(labelled):
    X, y = labelled
    near = nearest_neighbors(X, 10).indices
    names = np.array(["ant", "bee", "cat", "dog"])[y]
    assert label_accuracy(names, near) == label_accuracy(y, near)
    assert label_purity(names, near) == label_purity(y, near)


def test_purity_is_the_share_of_neighbours_of_ones_own_class(labelled):
    X, y = labelled
    near = nearest_neighbors(X, 10).indices
    assert label_purity(y, near) == pytest.approx((y[near] == y[:, None]).mean())


def test_samples_of_unknown_label_are_neither_asked_nor_vote():
    labels = np.array([0, 0, 1, -1])
    near = np.array([[1, 3], [0, 3], [3, 0], [0, 1]], np.int32)
    assert label_accuracy(labels, near) == pytest.approx(2 / 3)
    assert label_purity(labels, near) == pytest.approx(2 / 3)
    names = np.array(["a", "a", "b", ""])
    assert label_accuracy(names, near) == pytest.approx(2 / 3)


@pytest.mark.parametrize("labels", [np.linspace(0, 1, 9), np.zeros(9, int), np.full(9, -1)])
def test_what_are_no_classes_has_no_accuracy(labels):
    near = np.zeros((9, 2), np.int32)
    assert label_accuracy(labels, near) is None
    assert label_purity(labels, near) is None
