//! `frmdn headroom`.

use clap::Args;

use super::{out::out, table::table};
use crate::{
    stages::Context,
    studies::{Headroom, headroom},
};

#[derive(Args, Debug)]
pub struct HeadroomArgs {
    /// A run folder with a trained V, or what frmdn density takes: festvox-ru, mnist, the path of a
    /// folder of sounds or images.
    data: String,
}

pub fn run(args: &HeadroomArgs, context: &Context<'_>) -> anyhow::Result<()> {
    let found = headroom(&args.data, context)?;
    let Headroom {
        data,
        dim,
        steps: [fitted, judged],
        rows,
    } = &found;
    out!("{data}: {dim} values a step; {fitted} steps to fit, {judged} others to judge\n");
    let heading = [
        "classes by energy",
        "diagonal, nats a step",
        "full",
        "headroom",
    ];
    let row = |(classes, [diagonal, full]): &(usize, [f64; 2])| {
        vec![
            classes.to_string(),
            format!("{diagonal:.2}"),
            format!("{full:.2}"),
            format!("{:.2}", diagonal - full),
        ]
    };
    let rows: Vec<_> = rows.iter().map(row).collect();
    out!("{}\n", table(&heading, &rows));
    out!("{}", found.verdict());
    Ok(())
}
