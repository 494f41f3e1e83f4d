//! Run folders of earlier versions of the program.

mod common;

use std::{collections::BTreeMap, path::Path};

use common::{copy_folder, frmdn, hashes, success};

/// Goes on with the run in `run` to its end.
fn resume(run: &Path) -> BTreeMap<String, String> {
    success(&frmdn(&["train", "--run", run.to_str().unwrap()]));
    hashes(run)
}

#[test]
fn a_run_of_format_1_goes_on_and_what_was_finished_stays() {
    let kept = Path::new("tests/data/run-format-1");
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    copy_folder(kept, &one);
    copy_folder(kept, &two);
    let before = hashes(kept);
    let after = resume(&one);
    for (name, hash) in &before {
        if !name.starts_with("controller/") {
            assert_eq!(after.get(name), Some(hash), "{name}");
        }
    }
    // The evolution went on from its fifth generation: its first lines are the old ones.
    let metrics = "controller/metrics.jsonl";
    let [old, new] = [kept, &one].map(|run| std::fs::read_to_string(run.join(metrics)).unwrap());
    assert_eq!((old.lines().count(), new.lines().count()), (5, 12));
    assert!(new.starts_with(&old), "{new}");
    for name in ["agent.safetensors", "evaluation/summary.json"] {
        assert!(after.contains_key(name), "{name}: {:?}", after.keys());
    }
    assert_eq!(resume(&two), after);
    // A run that is finished stays as it is.
    assert_eq!(resume(&one), after);
}
