//! Plain tables.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, Width, presets};

/// Columns of a terminal that tables fit in.
const COLUMNS: u16 = 80;
/// No column is made narrower than this to make a table fit.
const NARROWEST: u16 = 24;
/// Blanks between columns.
const GAP: u16 = 2;

/// Aligned columns under a heading, first column to the left, the others to the right. What would
/// be wider than a terminal is broken into lines.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(heading)
        .add_rows(rows);
    let mut widths = table.column_max_content_widths();
    let whole = widths.clone();
    let is_broken = fit(&mut widths);
    let ruled = heading
        .iter()
        .zip(&widths)
        .map(|(cell, width)| format!("{cell}\n{}", "─".repeat((*width).into())));
    table.set_header(ruled);
    if is_broken {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    for (number, (column, width)) in table.column_iter_mut().zip(widths).enumerate() {
        if is_broken {
            let width = Width::Fixed(width + GAP);
            column.set_constraint(ColumnConstraint::Absolute(width));
        }
        column.set_padding((0, GAP));
        // Text of several lines is read from the left.
        column.set_cell_alignment(if number == 0 || width < whole[number] {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        });
    }
    table.trim_fmt()
}

/// Narrows the widest columns until the table fits, as far as they can be. Returns whether it had
/// to.
fn fit(widths: &mut [u16]) -> bool {
    let gaps = GAP * (widths.len() as u16).saturating_sub(1);
    let mut is_broken = false;
    while widths.iter().sum::<u16>() + gaps > COLUMNS {
        let Some(widest) = widths.iter_mut().max().filter(|width| **width > NARROWEST) else {
            break;
        };
        *widest -= 1;
        is_broken = true;
    }
    is_broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let text = table(
            &["stage", "time"],
            &[
                vec!["vision".into(), "3 s".into()],
                vec!["m".into(), "100 s".into()],
            ],
        );
        assert_eq!(
            text,
            "stage    time\n──────  ─────\nvision    3 s\nm       100 s"
        );
    }

    #[test]
    fn blanks_at_the_ends_of_cells_and_signs_of_one_column_stay() {
        let text = table(
            &["", "± sd", "outcome"],
            &[
                vec!["a".into(), "   1 ×".into(), "left  ".into()],
                vec![String::new(), "–".into(), "a ± b …".into()],
            ],
        );
        assert_eq!(
            text,
            "     ± sd  outcome\n─  ──────  ───────\na     1 ×   left\n        –  a ± b …"
        );
    }

    #[test]
    fn what_is_wider_than_a_terminal_is_broken_into_lines() {
        let long = "one two three four five six seven eight nine ten eleven twelve thirteen";
        let rows = [vec![
            "vision".into(),
            "3 s".into(),
            format!("{long}, {long}"),
        ]];
        let text = table(&["stage", "time", "outcome"], &rows);
        let widest = text.lines().map(|line| line.chars().count()).max();
        assert!(widest <= Some(80), "{text}");
        for word in long.split(' ') {
            assert_eq!(text.matches(word).count(), 2, "{word} in\n{text}");
        }
    }
}
