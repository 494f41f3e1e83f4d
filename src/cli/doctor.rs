//! `frmdn doctor`: what this machine offers and what is missing.

use anyhow::Result;
use frmdn_gym_bridge::{Python, python::install};

use super::{out::out, table::table};
use crate::{
    stages::Context,
    worlds::{self, gym},
};

pub fn doctor(context: &Context<'_>) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let here = std::env::current_dir()?;
    let writable = tempfile::tempfile_in(&here).map_or_else(
        |e| format!("no: {e}. Go to a folder you may write to, or use --run DIR"),
        |_| "yes".to_owned(),
    );
    let vectors = vector_extensions();
    let memory = memory_available().map_or("unknown".into(), |mb| {
        let verdict = if mb < 4096 {
            " (the presets need up to 4 GiB: close something, or lower *.window_episodes)"
        } else {
            ""
        };
        format!("{:.1} GiB available{verdict}", mb as f64 / 1024.0)
    });
    let python = python(context);
    let mut rows = vec![
        vec![
            "program".into(),
            format!("frmdn {}", env!("CARGO_PKG_VERSION")),
        ],
        vec!["cores".into(), cores.to_string()],
        vec!["vector instructions".into(), vectors],
        vec!["memory".into(), memory],
        vec![format!("{} writable", here.display()), writable],
        vec!["device".into(), "cpu (the built-in engine)".into()],
        vec![
            format!("environments {}", worlds::names().join(", ")),
            "built in, nothing to install".into(),
        ],
    ];
    for (name, found) in worlds::needs() {
        rows.push(vec![format!("environment {name}"), found]);
    }
    rows.push(vec!["environments gym:ID".into(), python.found]);
    rows.push(vec!["display, GPU".into(), "not needed".into()]);
    let width = rows.iter().map(|r| r[1].chars().count()).max().unwrap_or(0);
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|r| vec![r[0].clone(), format!("{:<width$}", r[1])])
        .collect();
    out!("{}", table(&["what", "found"], &rows));
    out!("\nStart with: frmdn train");
    if let Some(advice) = python.advice {
        out!("\n{advice}");
    }
    Ok(())
}

/// Checks Python and its packages for `gym:` environments, and how to install what is missing.
struct Found {
    found: String,
    advice: Option<String>,
}

fn python(context: &Context<'_>) -> Found {
    const WANTED: [&str; 2] = ["gymnasium", "gym-super-mario-bros"];
    let need = |what: &str| {
        format!("For environments of Python's Gymnasium (gym:ID), and only for them, {what}")
    };
    let python = match Python::find(context.bridge.python.as_deref(), gym::EXAMPLE) {
        Ok(python) => python,
        Err(e) => {
            return Found {
                found: "no Python".into(),
                advice: Some(need(&format!("Python is needed: {e}"))),
            };
        }
    };
    let program = python.program.display().to_string();
    let versions = match python.versions(context.bridge.deadline) {
        Ok(versions) => versions,
        Err(e) => {
            return Found {
                found: format!("{program} does not work"),
                advice: Some(need(&format!("Python is needed: {e}"))),
            };
        }
    };
    let listed: Vec<String> = versions
        .iter()
        .map(|(name, version)| format!("{name} {version}"))
        .collect();
    let mut found = format!("{program}: {}", listed.join(", "));
    let mut advice = None;
    if !WANTED.iter().any(|name| versions.contains_key(*name)) {
        found.push_str("; without gymnasium");
        advice = Some(need(&format!(
            "gymnasium is needed. Type:\n{}",
            install(&program, gym::EXAMPLE)
        )));
    }
    Found { found, advice }
}

fn vector_extensions() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let found: Vec<&str> = [
            ("AVX2", is_x86_feature_detected!("avx2")),
            ("FMA", is_x86_feature_detected!("fma")),
            ("AVX-512", is_x86_feature_detected!("avx512f")),
        ]
        .into_iter()
        .filter_map(|(name, there)| there.then_some(name))
        .collect();
        if found.is_empty() {
            "none beyond SSE2: training will be several times slower".into()
        } else {
            found.join(", ")
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    std::env::consts::ARCH.to_owned()
}

/// Available memory in MiB (Linux only).
fn memory_available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|l| l.starts_with("MemAvailable:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}
