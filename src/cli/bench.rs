//! `frmdn bench`: how fast each part is on this machine, and how near to what the processor can do.

use anyhow::Result;
use clap::{Args, ValueEnum};
use frmdn_engine::limit;
use serde_json::{Map, Value, json};

use super::table::table;
use crate::{
    controller::Actions,
    device::Device,
    measure,
    memory::{MemoryConfig, Variant},
    run::Preset,
    stages::Context,
    vision::FRAME,
    worlds::{Frames, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    Env,
    Acting,
    Dream,
    Vision,
    Memory,
    Controller,
    All,
}

#[derive(Args, Debug)]
pub struct BenchArgs {
    /// What to measure.
    #[arg(value_enum, default_value = "all")]
    part: Part,
    /// The preset whose widths and batches are used. Default: V at the full widths of Ha &
    /// Schmidhuber, M with 256 cells in batches of 32 sequences of 128 steps.
    #[arg(long)]
    preset: Option<String>,
    /// Another environment than the preset's: car-racing, or gym:ID, with options after commas.
    #[arg(long, value_name = "NAME")]
    env: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// What the preset of the agent that races is changed in, so that figures stand beside those of
/// others.
const FULL_WIDTHS: [&str; 3] = [
    "vision.model.width=32",
    "memory.batch=32",
    "memory.sequence=128",
];

/// Threads that scaling is measured with.
const THREADS: usize = 2;

/// What was measured so far.
struct Found {
    /// Operations a second of a large matrix product on one core.
    product: f64,
    parts: Map<String, Value>,
    rows: Vec<Vec<String>>,
}

/// One line of the table.
struct Line<'a> {
    key: &'a str,
    what: String,
    /// Frames (or steps) a second on one core, and on two.
    rates: [Option<f64>; 2],
    /// Operations of one frame, where they are counted.
    operations: Option<f64>,
    /// Bytes that have to go in and out for one frame; weights stay in the cache.
    bytes: usize,
    more: Value,
}

impl Found {
    fn add(&mut self, line: Line<'_>) {
        let Line {
            key,
            what,
            rates: [one, two],
            operations,
            bytes,
            more,
        } = line;
        let rate = one.or(two.map(|r| r / THREADS as f64)).unwrap_or(0.0);
        let gflops = operations.map(|o| o * rate / 1e9);
        let fraction = gflops.map(|g| g * 1e9 / self.product);
        let scaling = one.zip(two).map(|(one, two)| two / one);
        let mut value = json!({ "frames_per_core_second": rate, "bytes_per_frame": bytes });
        for (name, figure) in [
            ("gflops", gflops),
            ("gemm_fraction", fraction),
            ("scaling_2_cores", scaling),
        ] {
            if let Some(figure) = figure {
                value[name] = json!(figure);
            }
        }
        let mut note = String::new();
        for (name, extra) in more.as_object().into_iter().flatten() {
            value[name] = extra.clone();
            let text = extra.as_f64().map_or(extra.to_string(), |v| {
                if v >= 100.0 {
                    format!("{v:.0}")
                } else {
                    format!("{v:.3}")
                }
            });
            note.push_str(&format!(
                "{}{} {text}",
                if note.is_empty() { "" } else { ", " },
                name.replace('_', " ")
            ));
        }
        self.parts.insert(key.to_owned(), value);
        let shown = |v: Option<f64>, digits: usize, unit: &str| {
            v.map_or("–".to_owned(), |v| format!("{v:.digits$}{unit}"))
        };
        self.rows.push(vec![
            what,
            format!("{rate:.0}"),
            shown(gflops, 1, ""),
            shown(fraction.map(|f| 100.0 * f), 0, " %"),
            shown(scaling, 2, "×"),
            bytes.to_string(),
            note,
        ]);
    }
}

pub fn bench(args: &BenchArgs, context: &Context<'_>) -> Result<()> {
    let preset = match &args.preset {
        Some(name) => Preset::resolve(name, &[])?,
        None => Preset::resolve("car-racing-frmdn", &FULL_WIDTHS.map(str::to_owned))?,
    };
    let name = args.env.as_ref().unwrap_or(&preset.environment);
    let is = |part: Part| [part, Part::All].contains(&args.part);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (set, peak) = limit::fused_multiply_adds();
    let mut found = Found {
        product: limit::large_product(),
        parts: Map::new(),
        rows: Vec::new(),
    };
    let limits = json!({ "instructions": set, "fma_gflops": peak / 1e9,
        "gemm_gflops": found.product / 1e9, "cores": cores });
    found.parts.insert("limits".into(), limits);
    measure_parts(&preset, name, &is, &mut found, context)?;
    if context.device.burn().is_some() {
        measure_device(&preset, name, &is, &mut found, context)?;
    }
    if args.json {
        println!("{}", Value::Object(found.parts));
        return Ok(());
    }
    println!(
        "one core: {:.0} GFLOP/s by fused multiply-adds ({set}), {:.0} in a large matrix product \
         (GEMM); {cores} cores\n",
        peak / 1e9,
        found.product / 1e9
    );
    let heads = [
        "part",
        "frames per core and second",
        "GFLOP/s",
        "of GEMM",
        "2 cores",
        "bytes a frame",
        "",
    ];
    println!("{}", table(&heads, &found.rows));
    Ok(())
}

fn measure_parts(
    preset: &Preset,
    name: &str,
    is: &dyn Fn(Part) -> bool,
    found: &mut Found,
    context: &Context<'_>,
) -> Result<()> {
    let (v, m, engine) = (preset.vision.model, preset.memory.model, Device::default());
    let latent = v.latent;
    if is(Part::Env) {
        for (key, what, frames) in [
            ("env", "agent's view", Frames::Agent),
            ("env_whole_frame", "whole frame", Frames::Whole),
        ] {
            let world = World::open_with(name, context.bridge, frames, true)?;
            let bytes = world.make()?.observation_space().len();
            let (one, two) = (
                measure::environment(&world, 1)?,
                measure::environment(&world, THREADS)?,
            );
            let rates = [Some(one.steps), Some(two.steps)];
            let more = json!({ "reset_ms": one.reset });
            found.add(Line {
                key,
                what: format!("env ({name}, {what})"),
                rates,
                operations: None,
                bytes,
                more,
            });
        }
    }
    if is(Part::Vision) {
        for (batch, key) in [
            (1, "encoder_batch_1"),
            (16, "encoder_batch_16"),
            (64, "encoder_batch_64"),
        ] {
            let rates = [Some(measure::encoder(v, batch)?), None];
            let operations = Some(v.encoder_operations());
            found.add(Line {
                key,
                what: format!("encoder, batch {batch}"),
                rates,
                operations,
                bytes: FRAME + 4 * latent,
                more: json!({}),
            });
        }
        let batch = preset.vision.batch;
        let rates = [
            Some(measure::vision(v, batch, 1, &engine)?),
            Some(measure::vision(v, batch, THREADS, &engine)?),
        ];
        let operations = Some(v.training_operations());
        found.add(Line {
            key: "vision",
            what: format!("training of V, batch {batch}"),
            rates,
            operations,
            bytes: FRAME,
            more: json!({}),
        });
    }
    if is(Part::Acting) || is(Part::Dream) || is(Part::Memory) || is(Part::Controller) {
        let world = context.world(name)?;
        let actions = Actions::of(&world.action_space()?);
        let width = actions.width();
        // A latent, an action and a state [h, c] in, a latent, a reward, an end and a state out.
        let row = 4 * (2 * latent + width + 2 + 4 * m.hidden_len(latent));
        if is(Part::Memory) {
            for variant in [Variant::Rmdn, Variant::Frmdn] {
                let (config, shape) = (
                    MemoryConfig { variant, ..m },
                    [preset.memory.sequence, preset.memory.batch],
                );
                let [one, two] = [1, THREADS].map(|threads| {
                    measure::memory(&config, latent, width, shape, threads, &engine)
                });
                let rates = [Some(one?), Some(two?)];
                let key = if variant == m.variant {
                    "memory".to_owned()
                } else {
                    format!("memory_{variant}")
                };
                let more = json!({
                    "sequences_per_core_second": rates[0].unwrap_or(0.0) / shape[0] as f64 });
                let what = format!(
                    "training of M ({variant}, {} × {} steps)",
                    shape[1], shape[0]
                );
                let operations = Some(config.training_operations(latent, width));
                found.add(Line {
                    key: &key,
                    what,
                    rates,
                    operations,
                    bytes: 4 * (2 * latent + width + 2),
                    more,
                });
            }
        }
        if is(Part::Dream) {
            for variant in [Variant::Rmdn, Variant::Frmdn] {
                let config = MemoryConfig { variant, ..m };
                let [one, two] = [1, THREADS].map(|threads| {
                    measure::dreaming(&config, latent, &actions, 64 * threads, threads, &engine)
                });
                let key = if variant == m.variant {
                    "dream".to_owned()
                } else {
                    format!("dream_{variant}")
                };
                let operations = Some(config.operations(latent, width)[1]);
                let what = format!("dream ({variant}, 64 at a time)");
                found.add(Line {
                    key: &key,
                    what,
                    rates: [Some(one?), Some(two?)],
                    operations,
                    bytes: row,
                    more: json!({}),
                });
            }
        }
        if is(Part::Acting) {
            let rates = [
                Some(measure::acting(preset, &world, 1)?),
                Some(measure::acting(preset, &world, THREADS)?),
            ];
            let [median, p99] = measure::acting_step(preset, &world)?;
            let operations = Some(v.encoder_operations() + m.operations(latent, width)[0]);
            let more = json!({ "step_ms_median": median, "step_ms_p99": p99 });
            let what = format!("acting ({name}, {})", m.variant);
            found.add(Line {
                key: "acting",
                what,
                rates,
                operations,
                bytes: FRAME + row,
                more,
            });
        }
        if is(Part::Controller) {
            let g = measure::generation(preset, &world, THREADS)?;
            let more = json!({ "generation_s": g.driving + g.optimiser, "frames": g.frames,
                "optimiser_ms": 1e3 * g.optimiser, "optimiser_share": g.optimiser / g.driving });
            let rates = [None, Some(g.frames as f64 / g.driving)];
            let what = format!(
                "a generation of {} × {} episodes on {THREADS} cores",
                g.candidates, g.episodes
            );
            found.add(Line {
                key: "controller",
                what,
                rates,
                operations: None,
                bytes: FRAME + row,
                more,
            });
        }
    }
    Ok(())
}

/// V, M and dreams on a device of burn, the whole of it: there is no core to speak of.
fn measure_device(
    preset: &Preset,
    name: &str,
    is: &dyn Fn(Part) -> bool,
    found: &mut Found,
    context: &Context<'_>,
) -> Result<()> {
    let (v, m, device) = (preset.vision.model, preset.memory.model, context.device);
    let actions = Actions::of(&context.world(name)?.action_space()?);
    let (latent, width) = (v.latent, actions.width());
    let mut add = |part: &str, what: String, rate: f64, operations: f64, bytes: usize| {
        let key = format!("{part}_on_{}", device.name());
        let what = format!("{what} on {}", device.name());
        found.add(Line {
            key: &key,
            what,
            rates: [Some(rate), None],
            operations: Some(operations),
            bytes,
            more: json!({}),
        });
    };
    if is(Part::Vision) {
        let batch = preset.vision.batch;
        let rate = measure::vision(v, batch, 1, device)?;
        add(
            "vision",
            format!("training of V, batch {batch}"),
            rate,
            v.training_operations(),
            FRAME,
        );
    }
    if is(Part::Memory) {
        let shape = [preset.memory.sequence, preset.memory.batch];
        let rate = measure::memory(&m, latent, width, shape, 1, device)?;
        add(
            "memory",
            format!("training of M ({})", m.variant),
            rate,
            m.training_operations(latent, width),
            4 * (2 * latent + width + 2),
        );
    }
    if is(Part::Dream) {
        let rate = measure::dreaming(&m, latent, &actions, 1024, 1, device)?;
        add(
            "dream",
            format!("dream ({}, 1024 at a time)", m.variant),
            rate,
            m.operations(latent, width)[1],
            4 * (2 * latent + width + 2),
        );
    }
    Ok(())
}
