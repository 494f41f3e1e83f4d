//! What a generation costs without the evaluations: `cargo run --release -p frmdn-cma-es --example
//! cma_speed`.
//!
//! n = 867 and 64 candidates is the linear controller of Ha & Schmidhuber's car: (32 + 256) · 3 + 3
//! parameters.

use std::time::Instant;

use frmdn_cma_es::{CmaEs, CmaEsConfig, Covariance, Recombination};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for covariance in [Covariance::Separable, Covariance::Full] {
        let mut es = CmaEs::new(CmaEsConfig {
            dimension: 867,
            population: Some(64),
            sigma0: 0.1,
            covariance,
            recombination: Recombination::BetterHalf,
            seed: 1,
        })?;
        let (mut asked, mut told) = (Vec::new(), Vec::new());
        for _ in 0..60 {
            let start = Instant::now();
            let candidates = es.ask();
            asked.push(start.elapsed().as_secs_f64() * 1e3);
            let losses: Vec<f64> = candidates
                .iter()
                .map(|x| x.iter().map(|v| (v - 1.0) * (v - 1.0)).sum())
                .collect();
            let start = Instant::now();
            es.tell(&losses)?;
            told.push(start.elapsed().as_secs_f64() * 1e3);
        }
        let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
        let start = Instant::now();
        let text = serde_json::to_string(&es)?;
        let saved = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        let read: CmaEs = serde_json::from_str(&text)?;
        let loaded = start.elapsed().as_secs_f64() * 1e3;
        assert_eq!(read.ask(), es.ask());
        told.sort_by(f64::total_cmp);
        println!(
            "{covariance:?}: ask {:.1} ms, tell {:.1} ms (median {:.1}, longest {:.0}); state \
             {:.2} MB, saved in {saved:.0} ms, read in {loaded:.0} ms",
            mean(&asked),
            mean(&told),
            told[told.len() / 2],
            told[told.len() - 1],
            text.len() as f64 / 1e6,
        );
    }
    Ok(())
}
