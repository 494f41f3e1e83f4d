//! Stopping criteria.

use crate::CmaEs;

/// A reason to stop, or to start again elsewhere (Hansen, arXiv 1604.00772, appendix B.3). Some
/// generations after the first of them the distribution degenerates, and [`CmaEs::tell`] fails.
///
/// Criteria that look at the losses (flat, stagnating) are left to the caller: what counts as flat
/// depends on how noisy the losses are.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Stop {
    /// ConditionCov: C has condition number above 1e14, its smallest axes are rounding errors.
    #[error("its covariance has the condition number {0:.0e}: some directions are rounding errors")]
    Condition(f64),
    /// TolX: the distribution is below 1e-12 of its first width in all parameters.
    #[error("it has converged: its steps are below 1e-12 of the first ones")]
    Converged,
    /// TolXUp: the longest axis has grown by more than 1e4: sigma0 was far too small, or the
    /// problem has no optimum.
    #[error("it diverges: its steps are more than 10,000 times as long as the first ones")]
    Diverging,
    /// NoEffectCoord: a fifth of this parameter's standard deviation no longer changes the mean.
    #[error("its steps are too short to change parameter {parameter}")]
    NoEffect {
        /// Index of the parameter.
        parameter: usize,
    },
}

impl CmaEs {
    /// Condition number of C: the squared ratio of its longest to its shortest axis, as of the last
    /// decomposition.
    pub fn condition_number(&self) -> f64 {
        let (min, max) = extremes(&self.state.shape.axes());
        (max / min).powi(2)
    }

    /// Standard deviations of the parameters, the step size included.
    pub fn deviations(&self) -> Vec<f64> {
        self.state
            .shape
            .deviations()
            .iter()
            .map(|d| d * self.state.sigma)
            .collect()
    }

    /// The first stopping criterion that is met, if any; to be asked after every generation.
    pub fn stop(&self) -> Option<Stop> {
        let (state, sigma0) = (&self.state, self.state.config.sigma0);
        let condition = self.condition_number();
        if condition.is_nan() || condition > 1e14 {
            return Some(Stop::Condition(condition));
        }
        if state.sigma * extremes(&state.shape.axes()).1 > 1e4 * sigma0 {
            return Some(Stop::Diverging);
        }
        let deviations = self.deviations();
        let still = |(d, p): (&f64, &f64)| d.max(state.sigma * p.abs()) < 1e-12 * sigma0;
        if deviations.iter().zip(&state.path_c).all(still) {
            return Some(Stop::Converged);
        }
        let stuck = state
            .mean
            .iter()
            .zip(&deviations)
            .position(|(m, d)| *m == m + 0.2 * d);
        stuck.map(|parameter| Stop::NoEffect { parameter })
    }
}

fn extremes(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, 0.0), |(min, max), &v| {
        (min.min(v), max.max(v))
    })
}
