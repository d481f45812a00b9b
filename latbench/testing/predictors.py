"""What every predictor must do: subclass :class:`PredictorSuite` under a name pytest collects.

.. code-block:: python

    class TestMyPredictor(PredictorSuite):
        def make_predictor(self, space, block_ms):
            return MyPredictor(space, depth=3)
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from latbench.errors import MissingMeasurementsError, NotFittedError, UsageError
from latbench.prediction import metrics
from latbench.predictor import Predictor
from latbench.testing.predictor_expectation import PredictorExpectationChecks
from latbench.testing.predictor_files import PredictorFileChecks
from latbench.testing.predictor_fixtures import CARD, TARGET, Data

__all__ = ["CARD", "TARGET", "PredictorSuite"]


class PredictorSuite(PredictorFileChecks, PredictorExpectationChecks):
    """One check a rule of :class:`latbench.predictor.Predictor`.

    A subclass gives :meth:`make_predictor`, and :meth:`make_space` where it takes only certain
    spaces.
    """

    # Fitting

    def test_fit_returns_the_predictor(self, predictor: Predictor, data: Data) -> None:
        """``fit`` returns self."""
        assert predictor.fit(*data) is predictor

    def test_inputs_are_left_alone(self, predictor: Predictor, data: Data) -> None:
        """Neither ``fit`` nor a prediction writes into what it was given."""
        X, y = data[0].copy(), data[1].copy()
        predictor.fit(X, y)
        predictor.predict(X)
        predictor.predict_interval(X, 0.9)
        predictor.coverage_of(X)
        np.testing.assert_array_equal(X, data[0])
        np.testing.assert_array_equal(y, data[1])

    def test_same_data_same_answers(self, predictor: Predictor, data: Data, new: Data) -> None:
        """Two fits on the same data predict the same, intervals included."""
        first, second = predictor.fit(*data), predictor.clone().fit(*data)
        np.testing.assert_array_equal(first.predict(new[0]), second.predict(new[0]))
        np.testing.assert_array_equal(first.scores_, second.scores_)

    def test_fit_forgets_an_earlier_fit(self, predictor: Predictor, data: Data, new: Data) -> None:
        """A second fit leaves no trace of the first."""
        again = predictor.clone().fit(new[0], 3 * new[1]).fit(*data)
        np.testing.assert_array_equal(again.predict(new[0]), predictor.fit(*data).predict(new[0]))

    def test_without_calibration_it_predicts_the_same(
        self, predictor: Predictor, data: Data, new: Data
    ) -> None:
        """A fit without calibration changes no prediction, and has no interval."""
        calibrated = predictor.clone().fit(*data).predict(new[0])
        predictor.fit(*data, calibrate=False)
        np.testing.assert_array_equal(predictor.predict(new[0]), calibrated)
        assert predictor.max_coverage == 0
        for ask in (predictor.predict_interval, predictor.predict_upper):
            with pytest.raises(UsageError, match="calibrate=False"):
                ask(new[0], 0.5)

    def test_duplicates_are_accepted(self, predictor: Predictor, data: Data) -> None:
        """A network measured twice may occur twice."""
        X, y = data
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=".*ms in row")
            predictor.fit(np.concatenate([X, X[:50]]), np.concatenate([y, 1.01 * y[:50]]))
        assert len(predictor.scores_) == len(np.unique(X, axis=0))

    def test_latencies_far_apart_of_one_network_are_told(
        self, predictor: Predictor, data: Data
    ) -> None:
        """Nobody knows which of them is right: a warning names the rows and the values."""
        X, y = np.concatenate([data[0], data[0][:1]]), np.append(data[1], 100 * data[1][0])
        with pytest.warns(UserWarning, match=rf"ms in row {len(y) - 1}, more than a factor of 2"):
            predictor.fit(X, y, calibrate=False)

    @pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, -1.0, "fast", None, True])
    def test_bad_latencies_are_refused(
        self, predictor: Predictor, data: Data, value: object
    ) -> None:
        """What is no latency is refused by row and value."""
        latencies: list[object] = list(data[1])
        latencies[3] = value
        with pytest.raises(UsageError, match="row 3 of the latencies"):
            predictor.fit(data[0], latencies)  # type: ignore[arg-type]

    def test_too_few_networks_are_refused(self, predictor: Predictor, data: Data) -> None:
        """Repeats of one network do not make up for different ones."""
        n = predictor.min_networks - 1
        X, y = data[0][[0] * 5 + list(range(n))], data[1][[0] * 5 + list(range(n))]
        with pytest.raises(UsageError, match=f"at least {predictor.min_networks} different"):
            predictor.fit(X, y)

    def test_fewest_networks_are_enough(self, predictor: Predictor, data: Data) -> None:
        """``min_networks`` is what it takes."""
        first = np.unique(data[0], axis=0, return_index=True)[1][: predictor.min_networks]
        predictor.fit(data[0][first], data[1][first])
        assert (predictor.predict(data[0]) > 0).all()

    # Predicting

    def test_unfitted_is_refused(self, predictor: Predictor, data: Data) -> None:
        """Nothing is predicted before a fit."""
        for ask in (predictor.predict, predictor.predict_interval, predictor.coverage_of):
            with pytest.raises(NotFittedError):
                ask(data[0])

    def test_predictions_are_positive(self, fitted: Predictor, new: Data) -> None:
        """Predictions are finite ms above zero, one a row."""
        predicted = fitted.predict(new[0])
        assert predicted.shape == (len(new[0]),)
        assert predicted.dtype == np.float64
        assert (np.isfinite(predicted) & (predicted > 0)).all()

    def test_a_prediction_does_not_depend_on_its_batch(self, fitted: Predictor, new: Data) -> None:
        """One architecture is predicted the same alone as among others."""
        together = fitted.predict(new[0])
        alone = [fitted.predict(x)[0] for x in new[0][:20]]
        np.testing.assert_allclose(alone, together[:20], rtol=1e-12)

    def test_no_architectures_no_predictions(self, fitted: Predictor, new: Data) -> None:
        """An empty batch is answered by an empty array."""
        assert fitted.predict(new[0][:0]).shape == (0,)

    def test_another_spaces_architecture_is_refused(self, fitted: Predictor, new: Data) -> None:
        """Architectures of other width, or with options that do not exist, are refused."""
        narrow, wrong = new[0][:, :-1], new[0].copy()
        wrong[0, 0] = 99
        for X in (narrow, wrong):
            with pytest.raises(UsageError):
                fitted.predict(X)

    def test_coverage_is_a_share(self, fitted: Predictor, new: Data) -> None:
        """``coverage_of`` is from 0 to 1, and 1 for what it was fitted on."""
        share = fitted.coverage_of(new[0])
        assert share.shape == (len(new[0]),)
        assert ((share >= 0) & (share <= 1)).all()

    def test_support_adds_up(self, fitted: Predictor, new: Data) -> None:
        """What is measured and what is interpolated make the coverage; nothing is the rest."""
        support = fitted.support_of(new[0])
        for share in (support.measured, support.interpolated, support.nothing):
            assert share.shape == (len(new[0]),)
            assert ((share >= 0) & (share <= 1)).all()
        covered = support.measured + support.interpolated
        np.testing.assert_allclose(covered, fitted.coverage_of(new[0]), atol=1e-9)
        np.testing.assert_allclose(covered + support.nothing, 1, atol=1e-9)

    def test_strict_predictions_are_the_same_or_refused(self, fitted: Predictor, new: Data) -> None:
        """Strictness changes no prediction; it refuses one of which nothing measured tells."""
        guessed = fitted.support_of(new[0]).nothing > 0
        np.testing.assert_array_equal(
            fitted.predict(new[0][~guessed], strict=True), fitted.predict(new[0][~guessed])
        )
        if guessed.any():
            with pytest.raises(MissingMeasurementsError, match="rest in part on nothing"):
                fitted.predict(new[0], strict=True)

    # Intervals

    def test_intervals_contain_the_prediction_and_widen(self, fitted: Predictor, new: Data) -> None:
        """The prediction lies within, and more coverage takes a wider interval."""
        predicted = fitted.predict(new[0])
        width = np.zeros(len(predicted))
        for coverage in (0.2, 0.5, 0.8, 0.95):
            low, high = fitted.predict_interval(new[0], coverage)
            assert ((low >= 0) & (low <= predicted) & (predicted <= high)).all()
            assert (high - low >= width).all()
            width = high - low

    def test_intervals_cover_new_networks(self, fitted: Predictor, new: Data) -> None:
        """Of networks not seen, about the stated share lies within, at several coverages."""
        for coverage in (0.6, 0.9):
            within = metrics.interval_coverage(new[1], *fitted.predict_interval(new[0], coverage))
            assert abs(within - 100 * coverage) < 9

    def test_upper_bounds_hold(self, fitted: Predictor, new: Data) -> None:
        """About the stated share of networks not seen lies below the one-sided bound."""
        for confidence in (0.5, 0.9):
            below = 100 * np.mean(new[1] <= fitted.predict_upper(new[0], confidence))
            assert abs(below - 100 * confidence) < 11

    def test_impossible_coverage_is_refused(self, fitted: Predictor, new: Data) -> None:
        """A coverage for which there are too few networks is refused, with the number it needs."""
        assert fitted.max_coverage < 0.9999
        with pytest.raises(UsageError, match="needs 9999 networks"):
            fitted.predict_interval(new[0], 0.9999)

    # Parameters

    def test_parameters_are_stored_as_given(self, predictor: Predictor) -> None:
        """A constructor stores its arguments under their names, and ``fit`` leaves them."""
        params = predictor.get_params()
        rebuilt = type(predictor)(**params)
        assert all(getattr(rebuilt, name) is value for name, value in params.items())
        assert set(vars(rebuilt)) == set(params)

    def test_clone_is_unfitted_with_equal_parameters(self, fitted: Predictor, data: Data) -> None:
        """A clone has the parameters and not the fit."""
        clone = fitted.clone()
        assert type(clone) is type(fitted)
        assert clone.get_params() == fitted.get_params()
        with pytest.raises(NotFittedError):
            clone.predict(data[0])

    def test_set_params_stores_and_forgets(self, fitted: Predictor, data: Data) -> None:
        """Parameters can be set by name; what was learned with the old ones goes."""
        params = fitted.get_params()
        assert fitted.set_params(**params) is fitted
        assert fitted.get_params() == params
        with pytest.raises(NotFittedError):
            fitted.predict(data[0])

    def test_unknown_parameters_are_refused(self, predictor: Predictor) -> None:
        """An unknown parameter is refused with the known ones, the nearest named."""
        with pytest.raises(UsageError, match="did you mean 'space'"):
            predictor.set_params(spaces=1)
