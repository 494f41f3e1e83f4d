//! The finished results of a comparison.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    run::Result,
    studies::{
        score::{
            Score,
            bank::{self, Scored},
            bank_dreams::{self, Dreams},
            blackout::{self, Blind, HOLD, SEEN},
            data::Data,
            dream_training::{self, Dreamt},
            entry::Entry,
            population::{self, Curve, POPULATIONS},
        },
        store::Results,
    },
};

/// Which memory and controller a result is of.
#[derive(Clone)]
pub struct Subject {
    /// Number of the data.
    pub data: usize,
    /// The memory's variant, or the name of a baseline.
    pub variant: String,
    /// The memory's seed.
    pub seed: u64,
    /// Population of E3; else 0.
    pub population: usize,
    /// Number of the controller in E3 and E4; else 0.
    pub controller: u64,
    /// Temperature of the dreams in E4; else 0.
    pub temperature: f32,
}

/// A finished result.
pub struct Outcome<T> {
    pub subject: Subject,
    pub value: T,
}

impl<T> Outcome<T> {
    /// What is drawn first in a bootstrap: the V and the memory's seed.
    pub fn cell(&self) -> String {
        format!("{}/{}", self.subject.data, self.subject.seed)
    }

    /// Whether `other` was made with the same random numbers.
    pub fn is_paired_with(&self, other: &Self) -> bool {
        let (a, b) = (&self.subject, &other.subject);
        self.cell() == other.cell()
            && (a.population, a.controller) == (b.population, b.controller)
            && a.temperature == b.temperature
    }
}

/// All finished results.
#[derive(Default)]
pub struct Finished {
    /// Real scores of each data's bank.
    pub banks: Vec<Option<Scored>>,
    pub e1: Vec<Outcome<Dreams>>,
    /// Baselines have their own names as variants.
    pub e2: Vec<Outcome<Blind>>,
    pub e3: Vec<Outcome<Curve>>,
    pub e4: Vec<Outcome<Dreamt>>,
}

impl Finished {
    pub fn is_empty(&self) -> bool {
        self.e1.is_empty() && self.e2.is_empty() && self.e3.is_empty() && self.e4.is_empty()
    }

    /// Reads what is finished of the next `data`.
    ///
    /// # Errors
    /// If a result was made with other settings, or cannot be read.
    pub fn load(
        &mut self,
        plan: &Score,
        data: &Data,
        entries: &[Entry],
        results: &Results,
    ) -> Result<()> {
        let number = self.banks.len();
        self.banks.push(bank::load_scores(plan, data, results)?);
        for baseline in [SEEN, HOLD] {
            let subject = Subject {
                data: number,
                variant: baseline.to_owned(),
                seed: 1,
                population: 0,
                controller: 0,
                temperature: 0.0,
            };
            let key = blackout::baseline_key(plan, data, baseline);
            add(&mut self.e2, results, &key, subject)?;
        }
        for entry in entries {
            let subject = Subject {
                data: number,
                variant: entry.spec.to_string(),
                seed: entry.seed,
                population: 0,
                controller: 0,
                temperature: 0.0,
            };
            let key = bank_dreams::key(plan, data, entry);
            add(&mut self.e1, results, &key, subject.clone())?;
            let key = blackout::key(plan, data, entry);
            add(&mut self.e2, results, &key, subject.clone())?;
            for controller in 1..=plan.controllers {
                let subject = Subject {
                    controller,
                    ..subject.clone()
                };
                for population in POPULATIONS {
                    let key = population::key(plan, data, entry, population, controller);
                    let subject = Subject {
                        population,
                        ..subject.clone()
                    };
                    add(&mut self.e3, results, &key, subject)?;
                }
                for &temperature in &plan.temperatures {
                    let key = dream_training::key(plan, data, entry, controller, temperature);
                    let subject = Subject {
                        temperature,
                        ..subject.clone()
                    };
                    add(&mut self.e4, results, &key, subject)?;
                }
            }
        }
        Ok(())
    }
}

/// Adds the result of this name and settings, if it is finished.
fn add<T: DeserializeOwned>(
    outcomes: &mut Vec<Outcome<T>>,
    results: &Results,
    (name, settings): &(String, Value),
    subject: Subject,
) -> Result<()> {
    if let Some(value) = results.load_with_settings(name, settings)? {
        outcomes.push(Outcome { subject, value });
    }
    Ok(())
}

/// Variants of the plan that have results, in its order.
pub fn finished_variants<T>(plan: &Score, outcomes: &[Outcome<T>]) -> Vec<String> {
    let mut variants: Vec<String> = plan.variants.iter().map(ToString::to_string).collect();
    variants.retain(|variant| !of_variant(outcomes, variant).is_empty());
    variants
}

pub fn of_variant<'a, T>(outcomes: &'a [Outcome<T>], variant: &str) -> Vec<&'a Outcome<T>> {
    let outcomes = outcomes.iter();
    outcomes.filter(|o| o.subject.variant == variant).collect()
}
