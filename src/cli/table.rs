//! Plain tables.

use comfy_table::{CellAlignment, Table, presets};

/// Aligned columns under a heading, first column to the left, the others to the right.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(heading)
        .add_rows(rows);
    let widths = table.column_max_content_widths();
    let ruled = heading
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell}\n{}", "─".repeat(width.into())));
    table.set_header(ruled);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if number == 0 {
            CellAlignment::Left
        } else {
            CellAlignment::Right
        });
    }
    table.trim_fmt()
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
}
