//! The conformance tests fail for environments that break the contract.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use frmdn_env::{
    ActionSpace, DummyEnv, Env, EnvError, ObservationMut, ObservationSpace, Picture, Step,
    conformance,
};

/// Faults of an environment.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    IgnoresSeed,
    DependsOnTheOutside,
    TakesAnyAction,
    StepsAfterTheEnd,
    RewardIsNan,
    RemembersAcrossResets,
    PictureSteps,
    BadActionSteps,
    BadBufferEnds,
}

struct Faulty {
    inner: DummyEnv,
    fault: Fault,
    resets: u64,
    scratch: Vec<f32>,
}

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

fn faulty(fault: Fault) -> Faulty {
    let inner = DummyEnv::new(ActionSpace::Discrete(4), ObservationSpace::Latent(3));
    Faulty {
        inner,
        fault,
        resets: 0,
        scratch: vec![0.0; 3],
    }
}

impl Env for Faulty {
    fn action_space(&self) -> &ActionSpace {
        self.inner.action_space()
    }

    fn observation_space(&self) -> ObservationSpace {
        self.inner.observation_space()
    }

    fn reset(&mut self, seed: u64, observation: ObservationMut<'_>) -> Result<(), EnvError> {
        let seed = match self.fault {
            Fault::IgnoresSeed => 0,
            Fault::DependsOnTheOutside => seed ^ OUTSIDE.fetch_add(1, Ordering::Relaxed),
            Fault::RemembersAcrossResets => seed ^ self.resets,
            _ => seed,
        };
        self.resets += 1;
        self.inner.reset(seed, observation)
    }

    fn step(&mut self, action: &[f32], observation: ObservationMut<'_>) -> Result<Step, EnvError> {
        let valid = self.action_space().check(action).is_ok();
        let fits = matches!(&observation, ObservationMut::Latent(values) if values.len() == 3);
        match self.fault {
            Fault::TakesAnyAction if !valid => return self.inner.step(&[0.0], observation),
            Fault::BadActionSteps if !valid => {
                self.inner
                    .step(&[0.0], ObservationMut::Latent(&mut self.scratch))?;
            }
            Fault::BadBufferEnds if !fits => {
                self.inner
                    .reset(0, ObservationMut::Latent(&mut self.scratch))?;
            }
            _ => {}
        }
        match self.inner.step(action, observation) {
            Err(EnvError::NeedsReset)
                if self.fault == Fault::StepsAfterTheEnd && self.resets > 0 =>
            {
                Ok(Step {
                    reward: 0.0,
                    terminated: true,
                    truncated: false,
                    info: Default::default(),
                })
            }
            Ok(step) if self.fault == Fault::RewardIsNan => Ok(Step {
                reward: f64::NAN,
                ..step
            }),
            other => other,
        }
    }

    fn picture(&mut self) -> Option<Picture> {
        if self.fault == Fault::PictureSteps {
            let _ = self
                .inner
                .step(&[1.0], ObservationMut::Latent(&mut self.scratch));
        }
        None
    }
}

#[test]
fn every_fault_is_noticed() {
    let fails = |test: &dyn Fn(Fault), fault: Fault| {
        catch_unwind(AssertUnwindSafe(|| test(fault))).is_err()
    };
    type Case<'a> = (&'a str, &'a dyn Fn(Fault), Fault);
    let cases: [Case<'_>; 9] = [
        (
            "seed",
            &|f| conformance::other_seed_other_bytes(|| faulty(f)),
            Fault::IgnoresSeed,
        ),
        (
            "same",
            &|f| conformance::same_seed_same_bytes(|| faulty(f)),
            Fault::DependsOnTheOutside,
        ),
        (
            "action",
            &|f| conformance::refused_actions_change_nothing(|| faulty(f)),
            Fault::TakesAnyAction,
        ),
        (
            "action steps",
            &|f| conformance::refused_actions_change_nothing(|| faulty(f)),
            Fault::BadActionSteps,
        ),
        (
            "end",
            &|f| conformance::needs_reset(|| faulty(f)),
            Fault::StepsAfterTheEnd,
        ),
        (
            "reward",
            &|f| conformance::rewards_stay_in_range(|| faulty(f), f64::MIN..=f64::MAX),
            Fault::RewardIsNan,
        ),
        (
            "fresh",
            &|f| conformance::reset_equals_a_fresh_one(|| faulty(f)),
            Fault::RemembersAcrossResets,
        ),
        (
            "picture",
            &|f| conformance::pictures_change_nothing(|| faulty(f)),
            Fault::PictureSteps,
        ),
        (
            "buffer",
            &|f| conformance::refuses_other_buffers(|| faulty(f)),
            Fault::BadBufferEnds,
        ),
    ];
    for (name, test, fault) in cases {
        assert!(fails(test, fault), "the fault {name:?} was not noticed");
    }
}
