//! What requests cost, and what they are thought to cost.

use fastrand::Rng;
use tower_upstream::Cost;

use crate::fields::{Field, ScenarioError};

/// How costs are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    input: Amount,
    output: Amount,
    /// The estimate is the real cost times something between these two.
    factor: (f64, f64),
}

#[derive(Clone, Copy, Debug)]
enum Amount {
    Fixed(u64),
    LogNormal { median: f64, sigma: f64, max: u64 },
}

/// What one request costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Load {
    /// What the client reserves, and what the upstream reckons with when the request arrives.
    pub(crate) estimate: Cost,
    /// What it is found to have used at the end.
    pub(crate) real: Cost,
}

impl Costs {
    /// No tokens at all, for upstreams that count requests alone.
    pub(crate) const NONE: Self = Self {
        input: Amount::Fixed(0),
        output: Amount::Fixed(0),
        factor: (1.0, 1.0),
    };

    pub(crate) fn read(field: Field<'_>) -> Result<Self, ScenarioError> {
        let mut object = field.object()?;
        let input = object.find_or("input", Amount::Fixed(0), Amount::read)?;
        let output = object.find_or("output", Amount::Fixed(0), Amount::read)?;
        let factor = object.find_or("estimate_factor", (1.0, 1.0), factor)?;
        object.end()?;
        Ok(Self {
            input,
            output,
            factor,
        })
    }

    pub(crate) fn draw(&self, rng: &mut Rng) -> Load {
        let (input, output) = (self.input.draw(rng), self.output.draw(rng));
        let (least, most) = self.factor;
        let factor = least + rng.f64() * (most - least);
        let estimate = |tokens: u64| (tokens as f64 * factor).round() as u64;
        Load {
            estimate: Cost::tokens(estimate(input), estimate(output)),
            real: Cost::tokens(input, output),
        }
    }
}

impl Amount {
    fn read(field: Field<'_>) -> Result<Self, ScenarioError> {
        if !field.is_object() {
            return Ok(Self::Fixed(field.whole(0)?));
        }
        let mut object = field.object()?;
        let median = object.need("median")?.above_zero()?;
        let sigma = object.need("sigma")?.at_least_zero()?;
        let max = object.need("max")?.whole(1)?;
        object.end()?;
        Ok(Self::LogNormal { median, sigma, max })
    }

    fn draw(self, rng: &mut Rng) -> u64 {
        match self {
            Self::Fixed(amount) => amount,
            Self::LogNormal { median, sigma, max } => {
                let amount = median * (sigma * standard_normal(rng)).exp();
                (amount.round() as u64).clamp(1, max)
            }
        }
    }
}

/// A number, or an object of the least and the most.
fn factor(field: Field<'_>) -> Result<(f64, f64), ScenarioError> {
    if !field.is_object() {
        let factor = field.above_zero()?;
        return Ok((factor, factor));
    }
    let mut object = field.object()?;
    let least = object.need("from")?.above_zero()?;
    let to = object.need("to")?;
    let most = to.number(|most| most >= least, "a number of at least that of from")?;
    object.end()?;
    Ok((least, most))
}

/// By the transformation of Box and Muller.
fn standard_normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * (1.0 - rng.f64()).ln()).sqrt();
    radius * (rng.f64() * std::f64::consts::TAU).cos()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn draw(costs: &Value, count: usize) -> Vec<Load> {
        let costs = Costs::read(Field::document(costs)).unwrap();
        let mut rng = Rng::with_seed(7);
        (0..count).map(|_| costs.draw(&mut rng)).collect()
    }

    #[test]
    fn an_estimate_is_wrong_by_its_factor() {
        let costs = json!({"input": 100, "output": 300, "estimate_factor": 1.5});
        let load = draw(&costs, 1)[0];
        assert_eq!(load.real, Cost::tokens(100, 300));
        assert_eq!(load.estimate, Cost::tokens(150, 450));
    }

    #[test]
    fn a_log_normal_cost_has_its_median_and_stays_below_its_maximum() {
        let costs = json!({"input": {"median": 500, "sigma": 1, "max": 4_000}});
        let loads = draw(&costs, 10_000);
        let below = loads.iter().filter(|load| load.real.input_tokens < 500);
        // Five standard deviations of a fair coin thrown 10,000 times are 250.
        assert!((4_750..5_250).contains(&below.count()));
        assert!(loads.iter().all(|load| load.real.input_tokens <= 4_000));
    }
}
