//! Lists of actions: texts, numpy's arrays and episodes, for two kinds of actions.
#![no_main]

#[path = "scratch.rs"]
mod scratch;

use std::sync::LazyLock;

use frmdn::{
    controller::Actions,
    pilot::read_actions,
    worlds::{Bridge, World},
};
use libfuzzer_sys::fuzz_target;

static CONTINUOUS: LazyLock<Actions> = LazyLock::new(|| {
    let world = World::open("car-racing", &Bridge::default()).unwrap();
    Actions::of(&world.spec().unwrap())
});

fuzz_target!(|data: &[u8]| {
    let Some((how, data)) = data.split_first() else {
        return;
    };
    let name = ["a.csv", "a.npy", "a.npz"][usize::from(how % 3)];
    let path = scratch::file(name, data);
    for actions in [&*CONTINUOUS, &Actions::Discrete(5)] {
        if let Ok(list) = read_actions(&path, actions) {
            assert!(list.len().is_multiple_of(actions.width()));
            assert!(list.iter().all(|value| value.is_finite()));
        }
    }
});
