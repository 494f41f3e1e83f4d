//! "Did you mean": the nearest of the names that exist.

/// ` (did you mean X?)` for the candidate that is spelled most like `name`; empty if none is near.
pub fn meant<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    let nearest = candidates
        .map(|candidate| {
            let part = name.len() > 2 && candidate.contains(name);
            let likeness = strsim::jaro_winkler(name, candidate);
            (if part { 1.0 } else { likeness }, candidate)
        })
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match nearest {
        Some((likeness, candidate)) if likeness > 0.8 => format!(" (did you mean `{candidate}`?)"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let names = ["tiny", "serious-frmdn", "serious-rmdn"];
        let meant = |name: &str| meant(name, names.into_iter());
        assert_eq!(meant("serious-frdmn"), " (did you mean `serious-frmdn`?)");
        assert_eq!(meant("tinny"), " (did you mean `tiny`?)");
        assert_eq!(meant("rmdn"), " (did you mean `serious-rmdn`?)");
        assert_eq!(meant("mario"), "");
    }
}
