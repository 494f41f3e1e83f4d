//! `frmdn env parity`: a native environment beside the one it re-implements.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;

use crate::{
    cli::out::out,
    cli::table::table,
    parity::{self, Difference, FramePair, Parity, ParityConfig},
    pictures::Panel,
    run::RunError,
    stages::Context,
    worlds::car_racing,
};

/// Most episodes and tracks of one comparison.
const MOST: i64 = 1_000_000;

#[derive(Args, Debug)]
pub struct ParityArgs {
    /// The native environment. Car-Racing is compared in its tracks, its car and its frames too;
    /// others in rewards, ends, measurements and what an agent sees.
    #[arg(long, value_name = "NAME", default_value = car_racing::NAME)]
    env: String,
    /// Episodes, spread over five drivers.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=MOST))]
    episodes: u32,
    /// Tracks of Car-Racing compared tile for tile.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(..=MOST))]
    tracks: u32,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Steps between two frames of Car-Racing that are compared.
    #[arg(long, default_value_t = 25)]
    frames_every: u32,
    /// Options of both Car-Racings, for example continuous=false,domain_randomize=true.
    #[arg(long, default_value = "")]
    options: String,
    /// Most steps of an episode of another environment than Car-Racing.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=MOST))]
    steps: u32,
    /// A picture of Car-Racing's pair of frames with the largest error: ours, Gymnasium's, the difference
    /// eightfold.
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Largest mean error of a value in frames on the track, of 255.
const MEAN: f64 = 0.35;
/// Largest share of their values that may be off by more than 16.
const FAR: f64 = 0.005;

pub fn parity(args: &ParityArgs, context: &Context<'_>) -> Result<()> {
    // Car-Racing shows its tracks and its car, so more of it can be compared than of others.
    let rest = args.env.strip_prefix(car_racing::NAME);
    let Some(rest) = rest.filter(|rest| rest.is_empty() || rest.starts_with(',')) else {
        return twins(args, context);
    };
    let named = rest.trim_start_matches(',');
    if !named.is_empty() && !args.options.is_empty() {
        bail!(
            "--env {} has options already: leave --options out",
            args.env
        );
    }
    if args.episodes == 0 && args.tracks == 0 {
        bail!("--episodes 0 --tracks 0 leaves nothing to compare");
    }
    let config = ParityConfig {
        options: format!("{}{named}", args.options),
        episodes: args.episodes as usize,
        tracks: args.tracks as usize,
        seed: args.seed,
        frames_every: args.frames_every,
    };
    let outcome = parity::compare(&config, context.bridge, context.report, context.stop)?;
    let Some(outcome) = outcome else {
        return Err(RunError::Stopped.into());
    };
    if args.json {
        out!("{}", serde_json::to_string(&outcome)?);
    } else {
        show(&outcome)?;
    }
    if let (Some(path), Some(worst)) = (&args.out, &outcome.worst) {
        draw(worst, path)?;
    }
    if !outcome.holds(MEAN, FAR) {
        bail!("the two are not the same: see above. Please report this with the versions shown");
    }
    Ok(())
}

/// Share of the frames of twins that must be equal in every value.
const MOST_FRAMES: f64 = 0.99;

/// Compares an environment that is not Car-Racing.
fn twins(args: &ParityArgs, context: &Context<'_>) -> Result<()> {
    let sizes = [args.seed, args.episodes.into(), args.steps.into()];
    let outcome = parity::compare_twins(
        &args.env,
        sizes,
        context.bridge,
        context.report,
        context.stop,
    )?;
    let Some(outcome) = outcome else {
        return Err(RunError::Stopped.into());
    };
    if args.json {
        out!("{}", serde_json::to_string(&outcome)?);
    } else {
        let [ours, theirs] = &outcome.names;
        out!("{ours} beside {theirs} ({})\n", versions(&outcome.versions));
        out!(
            "rewards, ends and measurements of {} steps in {} episodes, {} of them completed; first \
             difference: {}",
            outcome.steps,
            outcome.episodes,
            outcome.completed,
            described(outcome.difference.as_ref())
        );
        let [frames, equal] = outcome.frames;
        out!("what an agent sees: {equal} of {frames} frames are equal in every value");
    }
    if outcome.difference.is_some() {
        bail!("the two are not the same: see above. Please report this with the versions shown");
    }
    let [frames, equal] = outcome.frames;
    if (equal as f64) < MOST_FRAMES * frames as f64 {
        bail!(
            "the two do not look the same: in less than {:.0} % of frames they are equal. Please \
             report this with the versions shown",
            100.0 * MOST_FRAMES
        );
    }
    Ok(())
}

/// Writes the pair of frames and their difference as one picture.
fn draw(worst: &FramePair, path: &Path) -> Result<()> {
    let difference: Vec<u8> = worst
        .ours
        .iter()
        .zip(&worst.theirs)
        .map(|(a, b)| a.abs_diff(*b).saturating_mul(8))
        .collect();
    let panel =
        |rgb: &[u8], title: &str| Panel::new(96, 96, rgb.to_vec()).enlarged(3).titled(title);
    Panel::row(vec![
        panel(&worst.ours, "OURS"),
        panel(&worst.theirs, "GYMNASIUM"),
        panel(&difference, "DIFFERENCE TIMES 8"),
    ])
    .save(path)?;
    tracing::info!(
        "the worst pair of frames, seed {} after {} steps, is in {}",
        worst.seed,
        worst.step,
        path.display()
    );
    Ok(())
}

fn show(outcome: &Parity) -> Result<()> {
    let [ours, theirs] = &outcome.names;
    out!("{ours} beside {theirs} ({})\n", versions(&outcome.versions));
    if outcome.tracks > 0 {
        out!(
            "tracks: {} compared, largest difference of a tile {:e}; differing: {}\n",
            outcome.tracks,
            outcome.track_error,
            described(outcome.track_difference.as_ref())
        );
    }
    if outcome.drives.iter().any(|drive| drive.episodes > 0) {
        show_drives(outcome)?;
        show_frames(outcome)?;
    }
    Ok(())
}

fn versions(list: &[(String, String)]) -> String {
    let each = list
        .iter()
        .map(|(name, version)| format!("{name} {version}"));
    each.collect::<Vec<_>>().join(", ")
}

fn described(difference: Option<&Difference>) -> String {
    match difference {
        None => "none".to_owned(),
        Some(d) => format!(
            "seed {}, step {}: {} is {}, the reference's {}",
            d.seed, d.step, d.what, d.ours, d.theirs
        ),
    }
}

fn show_drives(outcome: &Parity) -> Result<()> {
    let driven = outcome.drives.iter().filter(|d| d.episodes > 0);
    let rows: Vec<Vec<String>> = driven
        .map(|d| {
            vec![
                d.drive.name().to_owned(),
                d.episodes.to_string(),
                d.steps.to_string(),
                d.laps.to_string(),
                d.off_field.to_string(),
                described(d.difference.as_ref()),
            ]
        })
        .collect();
    out!("rewards, flags, progress, contacts and the car's state, bit for bit:");
    let heads = [
        "driver",
        "episodes",
        "steps",
        "laps",
        "off the field",
        "first difference",
    ];
    out!("{}\n", table(&heads, &rows));
    Ok(())
}

fn show_frames(outcome: &Parity) -> Result<()> {
    let f = &outcome.frames;
    let parts = [
        ("scene, on the track", &f.on_track),
        ("scene, all frames", &f.scene),
        ("scene, while zooming in", &f.zooming),
        ("gauges", &f.gauges),
        ("agent's view, drawn directly", &f.view),
    ];
    let rows: Vec<Vec<String>> = parts
        .iter()
        .map(|(name, e)| {
            vec![
                (*name).to_owned(),
                e.frames.to_string(),
                format!("{:.3}", e.mean()),
                format!("{:.3}", e.worst),
                format!("{:.3} %", 100.0 * e.far()),
            ]
        })
        .collect();
    out!(
        "frames (of 255; on the track at most {MEAN} on average and {} % off by more than 16):",
        100.0 * FAR
    );
    let heads = [
        "part",
        "frames",
        "mean error",
        "worst frame",
        "off by more than 16",
    ];
    out!("{}", table(&heads, &rows));
    Ok(())
}
