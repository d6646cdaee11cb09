"""Rectangles in a square, one of which is pulled: scenes, their mechanics and their pictures.

After F. Fleuret, Predicting the dynamics of 2d objects with a deep residual network, 2016
(arXiv 1610.04032): rectangles that do not overlap, a grasp point drawn at random inside of one of
them, an upward pull on it, which turns it too, strong fluid friction, elastic collisions. The paper
does not say how large, how heavy and how stiff they are, how hard and how long the pull is: those
are choices of this file, the defaults of `draw` and `Physics`.

Lengths are in widths of the image; of two coordinates the first goes to the right and the second
down. Everything is computed for all scenes of a batch at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# what may touch another body: the corners of a rectangle and three points of each side between them
_TICKS = np.linspace(-1, 1, 5)
RIM = np.array([(x, y) for x in _TICKS for y in _TICKS if max(abs(x), abs(y)) == 1])
_TRIES = 400  # of placing a rectangle, before its scene begins anew


@dataclass(frozen=True, slots=True)
class Physics:
    pull: float = 2.0
    friction: float = 4.0  # velocities fall by this rate
    density: float = 100.0
    stiffness: float = 100.0  # force per depth of a point of the rim inside of another body
    step: float = 0.01
    steps: int = 200


@dataclass(slots=True)
class Scenes:
    """n scenes of k rectangles: where they are, how they move, and which is pulled where."""

    centers: Array  # (n, k, 2)
    angles: Array  # (n, k)
    halves: Array  # (n, k, 2), half the sides
    pulled: npt.NDArray[np.int64]  # (n,)
    grasp: Array  # (n, 2), from the pulled body's centre and along its sides
    velocities: Array  # (n, k, 2)
    spins: Array  # (n, k)

    def __len__(self) -> int:
        return len(self.centers)

    def copy(self) -> Scenes:
        return Scenes(*(getattr(self, name).copy() for name in self.__slots__))

    def masses(self, physics: Physics) -> Array:
        return 4 * self.halves.prod(-1) * physics.density

    def inertias(self, physics: Physics) -> Array:
        return self.masses(physics) * (self.halves**2).sum(-1) / 3

    def grasp_points(self) -> Array:
        rows = np.arange(len(self))
        turned = _turn(self.angles[rows, self.pulled], self.grasp)
        return self.centers[rows, self.pulled] + turned


def draw(
    count: int, n_bodies: int = 3, sides: tuple[float, float] = (0.06, 0.16), seed: int = 0
) -> Scenes:
    """Draw scenes whose rectangles lie inside of the image and do not overlap."""
    rng = np.random.default_rng(seed)
    centers, halves = np.zeros((2, count, n_bodies, 2))
    angles = np.zeros((count, n_bodies))
    placed, tries = np.zeros((2, count), int)
    while (placed < n_bodies).any():
        rows = np.flatnonzero(placed < n_bodies)
        half = rng.uniform(*sides, (len(rows), 2))
        reach = np.hypot(*half.T)[:, None]
        center = reach + (1 - 2 * reach) * rng.random((len(rows), 2))
        angle = rng.uniform(0, np.pi, len(rows))
        gaps = gap(
            (center[:, None], angle[:, None], half[:, None]),
            (centers[rows], angles[rows], halves[rows]),
        )
        is_free = ((gaps > 0) | (np.arange(n_bodies) >= placed[rows, None])).all(1)
        at = rows[is_free], placed[rows[is_free]]
        centers[at], angles[at], halves[at] = center[is_free], angle[is_free], half[is_free]
        placed[rows[is_free]] += 1
        tries[rows] += 1
        stuck = rows[tries[rows] > _TRIES]
        placed[stuck] = tries[stuck] = 0
    pulled = rng.integers(0, n_bodies, count)
    grasp = rng.uniform(-0.9, 0.9, (count, 2)) * halves[np.arange(count), pulled]
    return Scenes(
        centers, angles, halves, pulled, grasp, np.zeros_like(centers), np.zeros_like(angles)
    )


def gap(one: tuple[Array, Array, Array], other: tuple[Array, Array, Array]) -> Array:
    """Return the widest gap between rectangles along one of their sides; negative if they overlap.

    A rectangle is (centre, angle, halves); two convex shapes are apart if and only if there is a
    line between them, for rectangles one along a side.
    """
    (p, a, h), (q, b, g) = one, other
    far = []
    for of, mine, theirs, angle in ((a, h, g, b - a), (b, g, h, a - b)):
        offset = np.abs(_turn(-of, q - p))
        cos, sin = np.abs(np.cos(angle)), np.abs(np.sin(angle))
        wide = np.stack(
            [theirs[..., 0] * cos + theirs[..., 1] * sin,
             theirs[..., 0] * sin + theirs[..., 1] * cos], -1,
        )  # fmt: skip
        far.append(offset - mine - wide)
    return np.concatenate(far, -1).max(-1)


def simulate(scenes: Scenes, physics: Physics | None = None) -> Scenes:
    """Return the scenes as they are at the end of the pull."""
    physics = physics or Physics()
    moved = scenes.copy()
    for _ in range(physics.steps):
        advance(moved, physics)
    return moved


def advance(scenes: Scenes, physics: Physics) -> None:
    """Move all bodies by one step: forces change velocities, which then change places."""
    forces, torques = np.zeros_like(scenes.centers), np.zeros_like(scenes.angles)
    rows = np.arange(len(scenes))
    up = np.broadcast_to((0.0, -physics.pull), (len(scenes), 2))
    arm = scenes.grasp_points() - scenes.centers[rows, scenes.pulled]
    forces[rows, scenes.pulled] += up
    torques[rows, scenes.pulled] += _cross(arm, up)
    for (scene, body), at, force in (*_collisions(scenes, physics), _walls(scenes, physics)):
        _add(forces, torques, scenes, (scene, body), at, force)
    slower = np.exp(-physics.friction * physics.step)
    scenes.velocities += physics.step * forces / scenes.masses(physics)[..., None]
    scenes.velocities *= slower
    scenes.spins += physics.step * torques / scenes.inertias(physics)
    scenes.spins *= slower
    scenes.centers += physics.step * scenes.velocities
    scenes.angles += physics.step * scenes.spins


def energy(scenes: Scenes, physics: Physics) -> Array:
    """Return kinetic and elastic energy of each scene, shape (n,)."""
    moving = scenes.masses(physics) * (scenes.velocities**2).sum(-1)
    turning = scenes.inertias(physics) * scenes.spins**2
    total = (moving + turning).sum(1) / 2
    (hit, _), _, depth, _ = _inside(scenes)
    (near, _), points = _near_walls(scenes)
    beyond = np.maximum(0, np.maximum(-points, points - 1))
    np.add.at(total, hit, physics.stiffness * (depth**2).sum(-1) / 2)
    np.add.at(total, near, physics.stiffness * (beyond**2).sum((-1, -2)) / 2)
    return total


def momentum(scenes: Scenes, physics: Physics) -> tuple[Array, Array]:
    """Return momentum, shape (n, 2), and angular momentum about the corner, (n,), of each scene."""
    linear = scenes.masses(physics)[..., None] * scenes.velocities
    own = scenes.inertias(physics) * scenes.spins
    return linear.sum(1), (_cross(scenes.centers, linear) + own).sum(1)


# --- forces ----------------------------------------------------------------------------------

Bodies = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]  # scenes, and bodies in them


def _inside(scenes: Scenes) -> tuple[Bodies, Bodies, Array, tuple[Array, Array]]:
    """Return pairs of bodies that may touch: of which the points, in which, how deep, and where.

    Depth has shape (pairs, points); where are the points and the directions out of the body.
    """
    reach = np.hypot(scenes.halves[..., 0], scenes.halves[..., 1])
    x, y = scenes.centers[..., 0], scenes.centers[..., 1]
    apart = (x[:, :, None] - x[:, None]) ** 2 + (y[:, :, None] - y[:, None]) ** 2
    near = apart < (reach[:, :, None] + reach[:, None]) ** 2
    near[:, range(near.shape[1]), range(near.shape[1])] = False
    scene, one, other = np.nonzero(near)
    points = _rim(scenes, (scene, one))
    angle = scenes.angles[scene, other][:, None]
    local = _turn(-angle, points - scenes.centers[scene, other][:, None])
    depths = scenes.halves[scene, other][:, None] - np.abs(local)
    is_x = depths[..., 0] < depths[..., 1]
    depth = np.maximum(0, np.where(is_x, depths[..., 0], depths[..., 1]))
    sign = np.sign(local)
    out = _turn(angle, np.stack([sign[..., 0] * is_x, sign[..., 1] * ~is_x], -1))
    return (scene, one), (scene, other), depth, (points, out)


def _collisions(scenes: Scenes, physics: Physics) -> list[tuple[Bodies, Array, Array]]:
    one, other, depth, (points, out) = _inside(scenes)
    force = physics.stiffness * depth[..., None] * out
    return [(one, points, force), (other, points, -force)]


def _near_walls(scenes: Scenes) -> tuple[Bodies, Array]:
    reach = np.hypot(scenes.halves[..., 0], scenes.halves[..., 1])[..., None]
    near = ((scenes.centers < reach) | (scenes.centers > 1 - reach)).any(-1)
    bodies = np.nonzero(near)
    return bodies, _rim(scenes, bodies)


def _walls(scenes: Scenes, physics: Physics) -> tuple[Bodies, Array, Array]:
    bodies, points = _near_walls(scenes)
    return bodies, points, physics.stiffness * (np.clip(points, 0, 1) - points)


def _add(
    forces: Array, torques: Array, scenes: Scenes, bodies: Bodies, at: Array, force: Array
) -> None:
    """Add forces at points, shape (bodies, points, 2), to their bodies."""
    arm = at - scenes.centers[bodies][:, None]
    which = np.ravel_multi_index(bodies, torques.shape)
    for total, one in (
        (forces[..., 0], force[..., 0]), (forces[..., 1], force[..., 1]),
        (torques, _cross(arm, force)),
    ):  # fmt: skip
        total += np.bincount(which, one.sum(1), torques.size).reshape(torques.shape)


def _rim(scenes: Scenes, bodies: Bodies) -> Array:
    turned = _turn(scenes.angles[bodies][:, None], RIM * scenes.halves[bodies][:, None])
    return scenes.centers[bodies][:, None] + turned


def _turn(angle: Array, vector: Array) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = vector[..., 0], vector[..., 1]
    return np.stack([cos * x - sin * y, sin * x + cos * y], -1)


def _cross(one: Array, other: Array) -> Array:
    return one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0]


# --- pictures --------------------------------------------------------------------------------


def images(scenes: Scenes, size: int, *, only_pulled: bool = False) -> npt.NDArray[np.float32]:
    """Return the scenes as pictures, white shapes on black, shape (n, size, size).

    A pixel is as bright as the part of it that is covered, taken to be a product of how far it lies
    within both pairs of sides.
    """
    ticks = (np.arange(size) + 0.5) / size
    grid = np.stack(np.meshgrid(ticks, ticks), -1)
    shown = np.zeros((len(scenes), size, size), np.float32)
    rows = np.arange(len(scenes))
    bodies = [scenes.pulled] if only_pulled else list(range(scenes.angles.shape[1]))
    for body in bodies:
        center, half = scenes.centers[rows, body], scenes.halves[rows, body]
        angle = scenes.angles[rows, body]
        local = _turn(-angle[:, None, None], grid - center[:, None, None])
        within = np.clip(0.5 + size * (half[:, None, None] - np.abs(local)), 0, 1)
        shown += within.prod(-1).astype(np.float32)
    return np.minimum(shown, 1)


def marks(scenes: Scenes, size: int) -> npt.NDArray[np.float32]:
    """Return pictures of a dot, a Gaussian of about a pixel, at the grasp points."""
    ticks = (np.arange(size) + 0.5) / size
    away = (ticks - scenes.grasp_points()[..., None]) ** 2  # (n, 2, size)
    squares = away[:, 0, None, :] + away[:, 1, :, None]
    return np.exp(-squares * (size / 1.2) ** 2).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Samples:
    """Pictures of scenes: what a network is given and should say, and which shape is pulled."""

    inputs: npt.NDArray[np.float32]  # (n, 2, size, size): the start, and the grasp point
    targets: npt.NDArray[np.float32]  # (n, 1, size, size): the end
    pulled: npt.NDArray[np.float32]  # (n, size, size): the pulled shape alone, at the start


def samples(
    count: int,
    size: int = 32,
    n_bodies: int = 3,
    sides: tuple[float, float] = (0.06, 0.16),
    seed: int = 0,
) -> Samples:
    """Draw scenes, pull, and take pictures before and after."""
    inputs = np.empty((count, 2, size, size), np.float32)
    targets = np.empty((count, 1, size, size), np.float32)
    pulled = np.empty((count, size, size), np.float32)
    for first in range(0, count, 1024):  # what bounds the memory of the simulation
        part = slice(first, first + 1024)
        scenes = draw(min(1024, count - first), n_bodies, sides, seed * 1_000_003 + first)
        inputs[part, 0], inputs[part, 1] = images(scenes, size), marks(scenes, size)
        pulled[part] = images(scenes, size, only_pulled=True)
        targets[part, 0] = images(simulate(scenes), size)
    return Samples(inputs, targets, pulled)
