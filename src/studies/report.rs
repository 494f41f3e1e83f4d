//! The report of a study: figures that its module has computed, in the words of a template.
//!
//! A document template (`templates/likelihood.jinja` and so on) is written once. The macros of its
//! parts, `title`, `heading`, `text`, `table`, `picture` and `end`, are those of the format.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use minijinja::{AutoEscape, Environment, UndefinedBehavior, context, value::Value};
use serde::Serialize;

use crate::{
    pictures::{Series, plot_curves},
    run::{Result, RunError, write_atomically},
};

/// All templates by name.
const TEMPLATES: [(&str, &str); 7] = [
    ("markdown", include_str!("templates/markdown.jinja")),
    ("html", include_str!("templates/html.jinja")),
    ("likelihood", include_str!("templates/likelihood.jinja")),
    ("score", include_str!("templates/score.jinja")),
    ("robustness", include_str!("templates/robustness.jinja")),
    ("seeds", include_str!("templates/seeds.jinja")),
    ("density", include_str!("templates/density.jinja")),
];

/// A table of a report; its cells are Markdown.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    pub heading: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(heading: &[&str], rows: Vec<Vec<String>>) -> Self {
        let heading = heading.iter().map(|&name| name.to_owned()).collect();
        Self { heading, rows }
    }
}

/// A picture of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Picture {
    /// Name of the file beside the report.
    pub file: String,
    pub title: String,
}

impl Picture {
    /// Plots curves into `file` in `folder`; `axes` are the names of x and y.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn plot(
        folder: &Path,
        file: &str,
        title: &str,
        axes: [&str; 2],
        series: &[Series],
    ) -> Result<Self> {
        plot_curves(title, axes[0], axes[1], series, &folder.join(file))?;
        let (file, title) = (file.to_owned(), title.to_owned());
        Ok(Self { file, title })
    }
}

/// Form of a report's file.
#[derive(Clone, Copy, Debug)]
pub enum Format {
    /// `report.md`
    Markdown,
    /// `report.html`
    Html,
}

impl Format {
    fn template(self) -> &'static str {
        match self {
            Self::Markdown => "markdown",
            Self::Html => "html",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Markdown => "report.md",
            Self::Html => "report.html",
        }
    }
}

/// Writes `figures` as the report that the template `document` makes of them into `folder`. Returns
/// the path of the file.
///
/// # Errors
/// If the file cannot be written.
pub fn write(
    folder: &Path,
    document: &str,
    format: Format,
    figures: &impl Serialize,
) -> Result<PathBuf> {
    let text = render(document, format, figures)
        .map_err(|e| RunError::Failed(format!("report template {document}: {e:#}")))?;
    let path = folder.join(format.file());
    write_atomically(&path, |w| w.write_all(text.as_bytes()))?;
    Ok(path)
}

fn render(
    document: &str,
    format: Format,
    figures: &impl Serialize,
) -> std::result::Result<String, minijinja::Error> {
    let mut environment = Environment::empty();
    // A figure that a template misspells is an error, not an empty place.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.add_filter("fold", fold);
    environment.add_filter("escape_html", escape_html);
    environment.add_filter("without_marks", without_marks);
    for (name, source) in TEMPLATES {
        environment.add_template(name, source)?;
    }
    let figures = Value::from_serialize(figures);
    let context = context! { format => format.template(), ..figures };
    environment.get_template(document)?.render(context)
}

/// A paragraph that is wrapped in its template, as one line.
fn fold(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// Text without Markdown's marks for bold print and code.
fn without_marks(text: &str) -> String {
    text.replace("**", "").replace('`', "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures() -> serde_json::Value {
        let table = Table::new(
            &["agent", "a < b"],
            vec![vec!["`x`".into(), "1 & 2".into()]],
        );
        json!({ "command": "frmdn  compare 'a  b'", "episodes": 2, "seeds": [4, 6],
            "perturbations": table, "agents": table, "scores": table, "differences": table,
            "ends": table, "stopped": [
                { "name": "x", "cells": [] },
                { "name": "y", "cells": [
                    { "perturbation": "bars", "share": "1 %" },
                    { "perturbation": "blob", "share": "2 %" } ] } ] })
    }

    #[test]
    fn a_document_is_the_same_in_both_formats() {
        let markdown = render("robustness", Format::Markdown, &figures()).unwrap();
        let start = "# Robustness of agents\n\nMade by `frmdn  compare 'a  b'`.\n\n\
            2 test tracks, seeds 4..6, the same in every cell. Nobody was trained for this table;";
        assert!(markdown.starts_with(start), "{markdown}");
        assert!(
            markdown.contains("\n\n| agent | a < b |\n|---|---|\n| `x` | 1 & 2 |\n\n| agent |"),
            "{markdown}"
        );
        let end = "Absorbing state “stopped”, `x`: never.\n\n\
            Absorbing state “stopped”, `y`: bars 1 %, blob 2 %.\n\n";
        assert!(markdown.ends_with(end), "{markdown}");
        let html = render("robustness", Format::Html, &figures()).unwrap();
        assert!(
            html.contains("<tr><td>`x`</td><td>1 &amp; 2</td></tr>\n</table>\n<table>")
                && html.contains("Ha &amp; Schmidhuber's")
                && html.ends_with(
                    "<p>Absorbing state “stopped”, y: bars 1 %, blob 2 %.</p>\n</body></html>\n"
                ),
            "{html}"
        );
    }

    #[test]
    fn a_figure_that_is_missing_is_an_error() {
        let mut figures = figures();
        figures.as_object_mut().unwrap().remove("scores");
        assert!(render("robustness", Format::Markdown, &figures).is_err());
    }
}
