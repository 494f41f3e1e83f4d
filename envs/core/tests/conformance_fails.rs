//! The conformance tests fail for environments that break the contract.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use frmdn_env::{
    ActionSpace, DummyEnv, Env, EnvError, EnvSpec, Measured, ObservationMut, ObservationSpace,
    Picture, Snapshot, Step, conformance,
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
    SaysAllEpisodesAreEqual,
    LimitIsLonger,
    MeasuresLess,
    ProgressIsAboveAll,
    YesIsTwo,
    SnapshotForgetsTheSteps,
    SaysItHasNoSnapshots,
}

struct Faulty {
    inner: DummyEnv,
    spec: EnvSpec,
    fault: Fault,
    resets: u64,
    scratch: Vec<f32>,
}

static OUTSIDE: AtomicU64 = AtomicU64::new(0);

fn faulty(fault: Fault) -> Faulty {
    let inner = DummyEnv::new(ActionSpace::Discrete(4), ObservationSpace::Latent(3));
    let mut spec = inner.spec().clone();
    match fault {
        Fault::SaysAllEpisodesAreEqual => spec.is_deterministic = true,
        Fault::LimitIsLonger => spec.max_steps = Some(DummyEnv::MAX_STEPS + 1),
        Fault::SaysItHasNoSnapshots => spec.has_snapshots = false,
        _ => {}
    }
    Faulty {
        inner,
        spec,
        fault,
        resets: 0,
        scratch: vec![0.0; 3],
    }
}

impl Env for Faulty {
    fn spec(&self) -> &EnvSpec {
        &self.spec
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
                    measured: Measured::default(),
                })
            }
            Ok(step) if self.fault == Fault::RewardIsNan => Ok(Step {
                reward: f64::NAN,
                ..step
            }),
            Ok(step) => {
                let mut measured = step.measured.to_vec();
                match self.fault {
                    Fault::MeasuresLess => measured.truncate(2),
                    Fault::ProgressIsAboveAll => measured[0] = measured[1] + 1.0,
                    Fault::YesIsTwo => measured[2] *= 2.0,
                    _ => {}
                }
                Ok(Step {
                    measured: Measured::new(&measured),
                    ..step
                })
            }
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

    fn snapshot(&self) -> Option<Snapshot> {
        self.inner.snapshot()
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<(), EnvError> {
        if self.fault == Fault::SnapshotForgetsTheSteps {
            let (state, _) = *snapshot.get::<(u64, u32)>()?;
            return self.inner.restore(&Snapshot::new((state, 0u32)));
        }
        self.inner.restore(snapshot)
    }
}

#[test]
fn every_fault_is_noticed() {
    let fails = |test: &dyn Fn(Fault), fault: Fault| {
        catch_unwind(AssertUnwindSafe(|| test(fault))).is_err()
    };
    type Case<'a> = (&'a str, &'a dyn Fn(Fault), Fault);
    let cases: [Case<'_>; 16] = [
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
        (
            "equal episodes",
            &|f| conformance::other_seed_other_bytes(|| faulty(f)),
            Fault::SaysAllEpisodesAreEqual,
        ),
        (
            "limit",
            &|f| conformance::rewards_stay_in_range(|| faulty(f), f64::MIN..=f64::MAX),
            Fault::LimitIsLonger,
        ),
        (
            "measurements",
            &|f| conformance::measures_what_it_declares(|| faulty(f)),
            Fault::MeasuresLess,
        ),
        (
            "progress",
            &|f| conformance::measures_what_it_declares(|| faulty(f)),
            Fault::ProgressIsAboveAll,
        ),
        (
            "yes",
            &|f| conformance::measures_what_it_declares(|| faulty(f)),
            Fault::YesIsTwo,
        ),
        (
            "snapshot",
            &|f| conformance::snapshots_go_on_bit_for_bit(|| faulty(f)),
            Fault::SnapshotForgetsTheSteps,
        ),
        (
            "no snapshots",
            &|f| conformance::snapshots_go_on_bit_for_bit(|| faulty(f)),
            Fault::SaysItHasNoSnapshots,
        ),
    ];
    for (name, test, fault) in cases {
        assert!(fails(test, fault), "the fault {name:?} was not noticed");
    }
}
