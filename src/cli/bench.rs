//! `frmdn bench`: the speed of each part on this machine, and its share of the peak rate.

use anyhow::Result;
use clap::{Args, ValueEnum};
use frmdn_engine::limit;
use serde_json::{Map, Value, json};

use super::{DeviceArgs, out::out, table::table};
use crate::{
    controller::Actions,
    device::Device,
    measure,
    memory::{MemoryConfig, Variant},
    run::{BEST, Preset},
    stages::Context,
    vision::FRAME,
    worlds::{self, Frames, World},
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
    pub(super) preset: Option<String>,
    #[arg(long, value_name = "NAME", help = worlds::NAMES)]
    pub(super) env: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub(super) device: DeviceArgs,
}

/// Changes to the default preset: the widths at which others report their figures.
const FULL_WIDTHS: [&str; 3] = [
    "vision.model.width=32",
    "memory.batch=32",
    "memory.sequence=128",
];

/// Threads that scaling is measured with.
const THREADS: usize = 2;

/// The figures measured so far.
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
    /// Bytes read and written for one frame; weights stay in the cache.
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
        None => Preset::resolve(BEST, &FULL_WIDTHS.map(str::to_owned))?,
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
        out!("{}", Value::Object(found.parts));
        return Ok(());
    }
    out!(
        "one core: {:.0} GFLOP/s by fused multiply-adds ({set}), {:.0} in a large matrix product \
         (GEMM); {cores} cores\n",
        peak / 1e9,
        found.product / 1e9
    );
    let mut heads = vec![
        "part",
        "frames per core and second",
        "GFLOP/s",
        "of GEMM",
        "2 cores",
        "bytes a frame",
    ];
    // Notes have a column where there are any.
    if found.rows.iter().all(|row| row[heads.len()].is_empty()) {
        for row in &mut found.rows {
            row.truncate(heads.len());
        }
    } else {
        heads.push("");
    }
    out!("{}", table(&heads, &found.rows));
    Ok(())
}

/// Measures the parts that were asked for on the CPU.
fn measure_parts(
    preset: &Preset,
    name: &str,
    is: &dyn Fn(Part) -> bool,
    found: &mut Found,
    context: &Context<'_>,
) -> Result<()> {
    if is(Part::Env) {
        measure_environment(name, found, context)?;
    }
    if is(Part::Vision) {
        measure_vision(preset, found)?;
    }
    let with_actions = [Part::Memory, Part::Dream, Part::Acting, Part::Controller];
    if !with_actions.into_iter().any(is) {
        return Ok(());
    }
    let world = context.world(name)?;
    let actions = Actions::of(&world.spec()?);
    if is(Part::Memory) {
        measure_memory(preset, &actions, found)?;
    }
    if is(Part::Dream) {
        measure_dreams(preset, &actions, found)?;
    }
    if is(Part::Acting) {
        measure_acting(preset, &world, &actions, found)?;
    }
    if is(Part::Controller) {
        measure_generation(preset, &world, &actions, found)?;
    }
    Ok(())
}

fn measure_environment(name: &str, found: &mut Found, context: &Context<'_>) -> Result<()> {
    for (key, what, frames) in [
        ("env", "agent's view", Frames::Agent),
        ("env_whole_frame", "whole frame", Frames::Whole),
    ] {
        let world = World::open_with(name, context.bridge, frames)?;
        let bytes = world.make()?.observation_space().len();
        let one = measure::environment(&world, 1)?;
        let two = measure::environment(&world, THREADS)?;
        found.add(Line {
            key,
            what: format!("env ({name}, {what})"),
            rates: [Some(one.steps), Some(two.steps)],
            operations: None,
            bytes,
            more: json!({ "reset_ms": one.reset }),
        });
    }
    Ok(())
}

fn measure_vision(preset: &Preset, found: &mut Found) -> Result<()> {
    let v = preset.vision.model;
    for (batch, key) in [
        (1, "encoder_batch_1"),
        (16, "encoder_batch_16"),
        (64, "encoder_batch_64"),
    ] {
        found.add(Line {
            key,
            what: format!("encoder, batch {batch}"),
            rates: [Some(measure::encoder(v, batch)?), None],
            operations: Some(v.encoder_operations()),
            bytes: FRAME + 4 * v.latent,
            more: json!({}),
        });
    }
    let (batch, engine) = (preset.vision.batch, Device::default());
    let one = measure::vision(v, batch, 1, &engine)?;
    let two = measure::vision(v, batch, THREADS, &engine)?;
    found.add(Line {
        key: "vision",
        what: format!("training of V, batch {batch}"),
        rates: [Some(one), Some(two)],
        operations: Some(v.training_operations()),
        bytes: FRAME,
        more: json!({}),
    });
    Ok(())
}

/// Memories that are measured: the baseline and the default, with the preset's widths.
fn memories(m: MemoryConfig) -> [MemoryConfig; 2] {
    [Variant::Rmdn, Variant::Frmdn].map(|variant| MemoryConfig { variant, ..m })
}

/// The key of a figure: with the variant where it is not the preset's own.
fn key_of(part: &str, variant: Variant, own: Variant) -> String {
    if variant == own {
        part.to_owned()
    } else {
        format!("{part}_{variant}")
    }
}

/// Bytes of one step of training M: two latents, an action, a reward and an end.
fn training_bytes(latent: usize, width: usize) -> usize {
    4 * (2 * latent + width + 2)
}

/// Bytes of one step of M: a latent, an action and a state [h, c] in, a latent, a reward, an end
/// and a state out.
fn step_bytes(m: &MemoryConfig, latent: usize, width: usize) -> usize {
    4 * (2 * latent + width + 2 + 4 * m.hidden_len(latent))
}

fn measure_memory(preset: &Preset, actions: &Actions, found: &mut Found) -> Result<()> {
    let (latent, width, own) = (
        preset.vision.model.latent,
        actions.width(),
        preset.memory.model,
    );
    let shape = [preset.memory.sequence, preset.memory.batch];
    let [steps, sequences] = shape;
    let engine = Device::default();
    for config in memories(own) {
        let one = measure::memory(&config, latent, width, shape, 1, &engine)?;
        let two = measure::memory(&config, latent, width, shape, THREADS, &engine)?;
        let variant = config.variant;
        found.add(Line {
            key: &key_of("memory", variant, own.variant),
            what: format!("training of M ({variant}, {sequences} × {steps} steps)"),
            rates: [Some(one), Some(two)],
            operations: Some(config.training_operations(latent, width)),
            bytes: training_bytes(latent, width),
            more: json!({ "sequences_per_core_second": one / steps as f64 }),
        });
    }
    Ok(())
}

fn measure_dreams(preset: &Preset, actions: &Actions, found: &mut Found) -> Result<()> {
    let (latent, width, own) = (
        preset.vision.model.latent,
        actions.width(),
        preset.memory.model,
    );
    let engine = Device::default();
    for config in memories(own) {
        let one = measure::dreaming(&config, latent, actions, 64, 1, &engine)?;
        let two = measure::dreaming(&config, latent, actions, 64 * THREADS, THREADS, &engine)?;
        let variant = config.variant;
        found.add(Line {
            key: &key_of("dream", variant, own.variant),
            what: format!("dream ({variant}, 64 at a time)"),
            rates: [Some(one), Some(two)],
            operations: Some(config.operations(latent, width)[1]),
            bytes: step_bytes(&own, latent, width),
            more: json!({}),
        });
        let seconds = measure::dreamt_generation(&config, latent, actions, THREADS)?;
        let (candidates, steps) = measure::DREAMT;
        let rows = candidates * measure::STARTS;
        found.add(Line {
            key: &key_of("dream_generation", variant, own.variant),
            what: format!(
                "a generation of {candidates} × {} dreams of {steps} steps ({variant}) on {THREADS} cores",
                measure::STARTS
            ),
            rates: [None, Some(rows as f64 * f64::from(steps) / seconds)],
            operations: Some(config.operations(latent, width)[1]),
            bytes: step_bytes(&own, latent, width),
            more: json!({ "generation_s": seconds }),
        });
    }
    Ok(())
}

fn measure_acting(
    preset: &Preset,
    world: &World,
    actions: &Actions,
    found: &mut Found,
) -> Result<()> {
    let (v, m, width) = (preset.vision.model, preset.memory.model, actions.width());
    let one = measure::acting(preset, world, 1)?;
    let two = measure::acting(preset, world, THREADS)?;
    let [median, p99] = measure::acting_step(preset, world)?;
    found.add(Line {
        key: "acting",
        what: format!("acting ({}, {})", world.name(), m.variant),
        rates: [Some(one), Some(two)],
        operations: Some(v.encoder_operations() + m.operations(v.latent, width)[0]),
        bytes: FRAME + step_bytes(&m, v.latent, width),
        more: json!({ "step_ms_median": median, "step_ms_p99": p99 }),
    });
    Ok(())
}

fn measure_generation(
    preset: &Preset,
    world: &World,
    actions: &Actions,
    found: &mut Found,
) -> Result<()> {
    let (latent, width) = (preset.vision.model.latent, actions.width());
    let g = measure::generation(preset, world, THREADS)?;
    found.add(Line {
        key: "controller",
        what: format!(
            "a generation of {} × {} episodes on {THREADS} cores",
            g.candidates, g.episodes
        ),
        rates: [None, Some(g.frames as f64 / g.driving)],
        operations: None,
        bytes: FRAME + step_bytes(&preset.memory.model, latent, width),
        more: json!({ "generation_s": g.driving + g.optimiser, "frames": g.frames,
            "optimiser_ms": 1e3 * g.optimiser, "optimiser_share": g.optimiser / g.driving }),
    });
    Ok(())
}

/// V, M and dreams on a device of burn: rates are per device, not per core.
fn measure_device(
    preset: &Preset,
    name: &str,
    is: &dyn Fn(Part) -> bool,
    found: &mut Found,
    context: &Context<'_>,
) -> Result<()> {
    let (v, m, device) = (preset.vision.model, preset.memory.model, context.device);
    let actions = Actions::of(&context.world(name)?.spec()?);
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
            training_bytes(latent, width),
        );
    }
    if is(Part::Dream) {
        let rate = measure::dreaming(&m, latent, &actions, 1024, 1, device)?;
        add(
            "dream",
            format!("dream ({}, 1024 at a time)", m.variant),
            rate,
            m.operations(latent, width)[1],
            training_bytes(latent, width),
        );
    }
    Ok(())
}
