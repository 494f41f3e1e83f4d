//! A price on actions that the data hardly hold.
//!
//! What a memory says of actions that nobody took is invented, and a search for reward finds where it
//! invents the best: a controller that is evolved in dreams leaves the actions of the data (see
//! `docs/notebook/dreams.md`). With this price it stays where the memory was taught, as in a trust
//! region.

use crate::controller::Actions;

/// What a step costs for its action, in points of reward.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    weight: f64,
    known: Known,
}

/// The actions of the data.
#[derive(Clone, Debug, PartialEq)]
enum Known {
    /// Mean and standard deviation of each real number.
    Normal(Vec<[f64; 2]>),
    /// How much rarer each of a discrete space's actions is than the most frequent one, in nats.
    Rarity(Vec<f64>),
}

impl Price {
    /// Least standard deviation of a number, as a share of its range: one that the data never move
    /// would have an infinite price.
    const LEAST: f64 = 0.02;

    /// `weight` times the distance of an action from those of the data `rows` `[steps, width]`: of
    /// real numbers the sum of the squares of ((value − mean) / standard deviation), of discrete
    /// actions log(share of the most frequent one / its own share), where each counts once more than
    /// it occurs.
    pub fn of(actions: &Actions, weight: f64, rows: &[f32]) -> Self {
        let width = actions.width();
        let steps = (rows.len() / width) as f64;
        let mut sums = vec![[0.0; 2]; width];
        for row in rows.chunks_exact(width) {
            for ([sum, squares], &value) in sums.iter_mut().zip(row) {
                *sum += f64::from(value);
                *squares += f64::from(value) * f64::from(value);
            }
        }
        let known = match actions {
            Actions::Box { low, high, .. } => {
                let mut normal = Vec::with_capacity(width);
                for (i, [sum, squares]) in sums.into_iter().enumerate() {
                    let mean = sum / steps;
                    let sd = (squares / steps - mean * mean).max(0.0).sqrt();
                    let range = f64::from(high[i] - low[i]);
                    normal.push([mean, sd.max(Self::LEAST * range)]);
                }
                Known::Normal(normal)
            }
            Actions::Discrete(_) => {
                let most = sums.iter().map(|[sum, _]| *sum).fold(0.0, f64::max);
                let rarity = |[sum, _]: &[f64; 2]| libm::log((most + 1.0) / (sum + 1.0));
                Known::Rarity(sums.iter().map(rarity).collect())
            }
        };
        Self { weight, known }
    }

    /// The price of `action`, in the agent's form.
    pub fn at(&self, action: &[f32]) -> f64 {
        let mut distance = 0.0;
        match &self.known {
            Known::Normal(normal) => {
                for (&value, [mean, sd]) in action.iter().zip(normal) {
                    let away = (f64::from(value) - mean) / sd;
                    distance += away * away;
                }
            }
            Known::Rarity(rarity) => {
                for (&taken, rarity) in action.iter().zip(rarity) {
                    distance += f64::from(taken) * rarity;
                }
            }
        }
        self.weight * distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dream::tests::car_racing;

    /// Steering −1 and 1, gas always 0.5, brake 0 and 0.4: means 0, 0.5, 0.2 and standard deviations
    /// 1, none (a fiftieth of the range of 1), 0.2.
    #[test]
    fn real_numbers_cost_the_square_of_their_distance() {
        let price = Price::of(&car_racing(), 0.1, &[-1.0, 0.5, 0.0, 1.0, 0.5, 0.4]);
        let at = |action: [f32; 3]| price.at(&action);
        assert!(at([0.0, 0.5, 0.2]).abs() < 1e-9);
        assert!((at([1.0, 0.5, 0.0]) - 0.2).abs() < 1e-6);
        assert!((at([0.0, 0.54, 0.2]) - 0.4).abs() < 1e-4);
    }

    /// Four times the first action, once the second, never the third.
    #[test]
    fn discrete_actions_cost_what_they_are_rarer_than_the_most_frequent_one() {
        let mut rows = [1.0, 0.0, 0.0].repeat(4);
        rows.extend([0.0, 1.0, 0.0]);
        let price = Price::of(&Actions::Discrete(3), 2.0, &rows);
        assert_eq!(price.at(&[1.0, 0.0, 0.0]), 0.0);
        assert_eq!(price.at(&[0.0, 1.0, 0.0]), 2.0 * libm::log(2.5));
        assert_eq!(price.at(&[0.0, 0.0, 1.0]), 2.0 * libm::log(5.0));
    }
}
