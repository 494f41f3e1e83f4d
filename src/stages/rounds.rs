//! C, in one evolution or in rounds of dreams.

use super::{Context, collect, controller, memory};
use crate::run::{Result, RunFolder};

/// Evolves C. Where that is done in dreams, M learns between two rounds from real episodes that the
/// candidates drive: each round is the stages with larger numbers ([`RunFolder::in_round`]), and what
/// is done already is not done again.
pub fn rounds(folder: &RunFolder, context: &Context<'_>) -> Result<()> {
    let config = &folder.preset().controller;
    if config.dreams.is_none() {
        return controller::controller(folder, context);
    }
    for round in 0..config.rounds() {
        let folder = folder.in_round(round);
        if round > 0 {
            collect::collect(&folder, context)?;
            memory::encode_all(&folder, context)?;
            controller::beside(&folder, round, context)?;
            memory::memory(&folder, context)?;
        }
        controller::controller(&folder, context)?;
    }
    Ok(())
}
