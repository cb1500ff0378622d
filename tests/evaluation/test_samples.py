"""Numbers about samples: by hand, by scipy and by torchmetrics' formulas."""

import numpy as np
import pytest
import scipy.linalg
from scipy.stats import wasserstein_distance

from dl_jax.errors import UsageError
from dl_jax.evaluation import (
    frechet_distance,
    inception_score,
    modes_covered,
    nearest_examples,
    sample_precision_recall,
    sliced_wasserstein,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("rank", [5, 2])
def test_frechet_distance_is_that_of_the_matrix_square_root(rank):
    """Also where covariances have no inverse."""
    mixing = RANDOM.normal(size=(rank, 5))
    real = RANDOM.normal(size=(60, rank)) @ mixing
    fake = 0.5 * RANDOM.normal(size=(50, rank)) @ mixing + 1
    a, b = (np.cov(x, rowvar=False) for x in (real, fake))
    root = scipy.linalg.sqrtm(a @ b).real
    means = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    expected = means + np.trace(a) + np.trace(b) - 2 * np.trace(root)
    np.testing.assert_allclose(frechet_distance(real, fake), expected, rtol=1e-5)
    assert frechet_distance(real, real) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_of_numbers_is_its_formula():
    real, fake = RANDOM.normal(0, 1, (40, 1)), RANDOM.normal(3, 2, (30, 1))
    expected = (real.mean() - fake.mean()) ** 2 + (real.std(ddof=1) - fake.std(ddof=1)) ** 2
    np.testing.assert_allclose(frechet_distance(real, fake), expected, rtol=1e-9)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save", "ignore:std")
def test_score_is_that_of_torchmetrics():
    torch = pytest.importorskip("torch")
    inception = pytest.importorskip("torchmetrics.image.inception")

    class Logits(torch.nn.Module):
        def forward(self, images):
            return images.flatten(1).float() / 40

    images = torch.tensor(RANDOM.integers(0, 256, (60, 3, 2, 2)), dtype=torch.uint8)
    theirs = inception.InceptionScore(Logits(), splits=1)
    theirs.update(images)
    probabilities = torch.softmax(Logits()(images), -1).numpy()
    np.testing.assert_allclose(
        inception_score(probabilities), theirs.compute()[0].item(), rtol=1e-4
    )


def test_distance_is_that_of_torchmetrics():
    torch = pytest.importorskip("torch")
    image = pytest.importorskip("torchmetrics.image.fid")

    class Pixels(torch.nn.Module):
        num_features = 12

        def forward(self, images):
            return images.flatten(1).double() / 255

    real, fake = (
        torch.tensor(RANDOM.integers(0, high, (300, 3, 2, 2)), dtype=torch.uint8)
        for high in (256, 200)
    )
    theirs = image.FrechetInceptionDistance(Pixels(), input_img_size=(3, 2, 2))
    theirs.update(real, real=True)
    theirs.update(fake, real=False)
    features = [Pixels()(images).numpy() for images in (real, fake)]
    np.testing.assert_allclose(frechet_distance(*features), theirs.compute().item(), rtol=1e-3)


def test_inception_score_is_between_one_and_the_number_of_classes():
    assert inception_score(np.full((9, 4), 0.25)) == pytest.approx(1)
    assert inception_score(np.eye(4)) == pytest.approx(4)
    p = np.array([[0.9, 0.1], [0.5, 0.5]])
    expected = np.mean([(row * np.log(row / p.mean(0))).sum() for row in p])
    assert inception_score(p) == pytest.approx(np.exp(expected))


def test_precision_is_of_samples_and_recall_of_examples():
    """Real examples on a grid of 0 to 9, samples on its first half and far away."""
    real = np.arange(10.0)[:, None]
    fake = np.array([0.2, 1.1, 2.3, 3.1, 4.2, 50, 60, 70])[:, None]
    found = sample_precision_recall(real, fake, neighbors=1)
    assert found.precision == 5 / 8
    # Radii of samples: 0.9, 0.9, 0.8, 0.8, 1.1, 10, 10, 10: they hold 0 to 5.
    assert found.recall == 6 / 10
    assert sample_precision_recall(real, real) == (1, 1)


def test_the_sliced_distance_is_the_mean_over_directions():
    """That of each direction is scipy's; a shift costs its mean length along directions."""
    random = np.random.default_rng(0)
    real, fake = random.normal(size=(200, 3)), random.normal(size=(200, 3)) * 2 + 1
    directions = np.random.default_rng(7).normal(size=(3, 16))
    directions /= np.linalg.norm(directions, axis=0)
    each = [wasserstein_distance(real @ d, fake @ d) for d in directions.T]
    found = sliced_wasserstein(real, fake, directions=16, seed=7)
    np.testing.assert_allclose(found, np.mean(each), rtol=1e-9)
    plane = random.normal(size=(50, 2))
    shifted = sliced_wasserstein(plane, plane + np.array([3.0, 0.0]), directions=4000)
    np.testing.assert_allclose(shifted, 3 * 2 / np.pi, rtol=0.03)


def test_neighbors_are_found_with_their_distances():
    index, distance = nearest_examples(np.array([[0.0, 1], [5, 5]]), np.array([[5.0, 8], [0, 0]]))
    np.testing.assert_array_equal(index, [1, 0])
    np.testing.assert_allclose(distance, [1, 3])


def test_modes_count_with_enough_samples_near_them():
    centers = np.array([[0.0, 0], [4, 0], [8, 0]])
    points = np.concatenate([centers[0] + np.zeros((20, 2)), centers[1] + np.zeros((19, 2)),
                             [[2.0, 0]]])  # fmt: skip
    assert modes_covered(points, centers, 1.0) == (1, 39 / 40)
    assert modes_covered(points, centers, 1.0, least=19) == (2, 39 / 40)


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (lambda: frechet_distance(np.ones((3, 2)), np.ones((3, 4))), r"\(3, 2\) and \(3, 4\)"),
        (lambda: frechet_distance(np.ones((3, 2)), np.ones((1, 2))), "3 and 1 examples, expected"),
        (lambda: inception_score(np.ones((3, 2))), "each row with the sum 1"),
        (lambda: sample_precision_recall(np.ones((3, 2)), np.ones((9, 2))), "at least 4 of each"),
        (lambda: modes_covered(np.ones((3, 2)), np.ones((2, 2)), 0.0), "radius is 0.0"),
        (lambda: sliced_wasserstein(np.ones((3, 2)), np.ones((2, 2))), "3 examples and 2 samples"),
    ],
)
def test_what_cannot_be_measured_is_said(run, said):
    with pytest.raises(UsageError, match=said):
        run()
