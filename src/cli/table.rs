//! Aligned tables.

use std::io;

use super::out::{Out, Tone};

/// A cell: its text, and what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    pub(super) fn toned(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Rows under a head. Columns are as wide as their widest cell, two blanks apart; an empty cell shows as `-`, but for
/// the last column.
#[derive(Debug)]
pub(super) struct Table<const N: usize> {
    head: [&'static str; N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new(head: [&'static str; N]) -> Self {
        Self { head, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, row: [Cell; N]) {
        self.rows.push(row);
    }

    pub(super) fn print(&self, out: &mut Out<'_>) -> io::Result<()> {
        for line in self.lines(|tone, text| out.paint(tone, text)) {
            out.line(line)?;
        }
        Ok(())
    }

    /// The lines, each cell painted after it is padded: escapes have no width.
    pub(super) fn lines(&self, paint: impl Fn(Tone, &str) -> String) -> Vec<String> {
        let head: [Cell; N] = self.head.map(|title| Cell::toned(Tone::Faint, title));
        let all: Vec<&[Cell; N]> = std::iter::once(&head).chain(&self.rows).collect();
        let shown = |cell: &Cell, column: usize| match cell.text.as_str() {
            "" if column + 1 < N => "-".to_owned(),
            text => text.to_owned(),
        };
        let widths: Vec<usize> = (0..N)
            .map(|column| all.iter().map(|row| shown(&row[column], column).chars().count()).max().unwrap_or(0))
            .collect();
        all.into_iter()
            .map(|row| {
                let mut line = String::new();
                for (column, cell) in row.iter().enumerate() {
                    let text = shown(cell, column);
                    if column + 1 < N {
                        let padded = format!("{text:<width$}", width = widths[column]);
                        line.push_str(&paint(cell.tone, &padded));
                        line.push_str("  ");
                    } else if !text.is_empty() {
                        line.push_str(&paint(cell.tone, &text));
                    }
                }
                line.truncate(line.trim_end().len());
                line
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Table};
    use crate::cli::out::Tone;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["NAME", "STATE", "WHY"]);
        table.row(["ü".into(), Cell::toned(Tone::Good, "up"), "".into()]);
        table.row(["longer".into(), "".into(), "because".into()]);
        let lines = table.lines(|_, text| text.to_owned());
        assert_eq!(lines, ["NAME    STATE  WHY", "ü       up", "longer  -      because"]);
    }

    #[test]
    fn paint_does_not_shift_columns() {
        let mut table = Table::new(["A", "B"]);
        table.row([Cell::toned(Tone::Good, "x"), "y".into()]);
        let lines = table.lines(|tone, text| if tone == Tone::Good { format!("<{text}>") } else { text.to_owned() });
        assert_eq!(lines, ["A  B", "<x>  y"]);
    }
}
