//! The whole step loop allocates nothing once it runs: frame, V, M, C, environment, outcome.

use std::{ops::ControlFlow, path::Path};

use frmdn::{
    agent::Agent,
    rollout::{Blackout, DriveOptions, Driver, Job, Moment, OpenLoop, Policy, Who},
    run::Interrupt,
    worlds::{Bridge, World},
};

/// Number of allocations of an episode that is broken off after `steps` steps.
fn allocations(driver: &Driver<'_>, job: Job<'_>, steps: u32) -> u64 {
    let mut seen = 0;
    let mut watcher = |moment: Moment<'_>| {
        seen = moment.outcome.steps;
        Ok(match seen < steps {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        })
    };
    let counted = allocation_counter::measure(|| {
        driver.watch(job, &mut watcher).expect("an episode");
    });
    assert_eq!(seen, steps, "the episode ended early");
    counted.count_total
}

/// The same for 50 and for 400 steps: what is allocated is allocated at the start.
fn is_steady(name: &str, driver: &Driver<'_>, job: Job<'_>) {
    let (few, many) = (allocations(driver, job, 50), allocations(driver, job, 400));
    assert_eq!(few, many, "{name}, {:?}", job.who);
    assert!(few > 0, "the counter counts");
}

#[test]
fn a_step_of_the_loop_allocates_nothing() {
    let stop = Interrupt::default();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/checkpoints/car-racing-frmdn");
    let agent = Agent::load(Path::new(folder)).unwrap();
    let controller = agent.controller().unwrap();
    for name in [
        "car-racing",
        "car-racing,skip=2max,sticky=0.1,sticky_frames=0.1,noops=3,limit=450",
        "car-racing,perturb=noise",
    ] {
        let world = World::open(name, &Bridge::default()).unwrap();
        let model = agent.acting_model(&world.spec().unwrap()).unwrap();
        let driver = Driver::new(&world, &stop);
        is_steady(name, &driver.with_model(&model), Job::of(&controller, 7));
        let blackout = Blackout {
            every: 20,
            steps: 5,
            temperature: 1.0,
            seed: 1,
        };
        let blind = driver.with_model(&model).with_options(DriveOptions {
            blackout: Some(blackout),
            ..DriveOptions::default()
        });
        is_steady(name, &blind, Job::of(&controller, 7));
        for policy in [
            OpenLoop::Random,
            OpenLoop::Brownian,
            OpenLoop::Bursts,
            OpenLoop::Noop,
        ] {
            let who = Who::Policy(Policy::OpenLoop(policy), 1);
            is_steady(name, &driver, Job::of(who, 7));
        }
    }
}
