//! Names of environments, of all kinds but those that would start Python.
#![no_main]

use frmdn::worlds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    let _ = worlds::check(name);
    let _ = worlds::has_wrappers(name);
    let _ = worlds::check_random_start(name);
    if let Some(spec) = worlds::declared(name) {
        assert!(!spec.observation.is_empty() && !spec.actions.is_empty());
    }
});
