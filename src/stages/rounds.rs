//! C, in one evolution or in rounds of dreams.

use super::{Context, Evolution, collect, controller, memory};
use crate::run::{Result, RunFolder};

/// Evolves C. Where that is done in dreams, M learns between two rounds from real episodes that the
/// candidates drive: each round is the stages with larger numbers ([`RunFolder::in_round`]), from the
/// round on that the evolution is in, until it ends.
pub fn rounds(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let config = &folder.preset().controller;
    if config.dreams.is_none() {
        return controller::controller(folder, context, true);
    }
    let saved = Evolution::load(folder)?;
    let begun = saved.map_or(0, |state| state.round(config));
    for round in begun..config.rounds() {
        let folder = folder.in_round(round);
        if round > 0 {
            collect::collect(&folder, context)?;
            memory::encode(&folder, context)?;
            controller::beside(&folder, round, context)?;
            memory::memory(&folder, context)?;
        }
        controller::controller(&folder, context, round + 1 == config.rounds())?;
        if Evolution::load(&folder)?.is_some_and(|state| state.stopped.is_some()) {
            break;
        }
    }
    Ok(())
}
