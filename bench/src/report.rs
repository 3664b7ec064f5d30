//! What a bench found: a table for the eye, JSON for everything else, and medians in between.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};

use crate::machine;

/// The figures of one bench.
pub struct Report {
    name: &'static str,
    head: Value,
    parts: Map<String, Value>,
    bars: Vec<Value>,
}

impl Report {
    /// An empty report, which notes the machine and how busy it is before anything runs.
    pub fn new(name: &'static str, quick: bool) -> Report {
        let mut head = machine::describe();
        head["quick"] = json!(quick);
        println!("bench {name} on {head}");
        Report { name, head, parts: Map::new(), bars: Vec::new() }
    }

    /// Prints the rows of a part under their titles and keeps them.
    pub fn table(&mut self, part: &str, titles: &[&str], rows: &[Vec<Cell>]) {
        println!("\n{part}");
        let texts: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(Cell::text).collect()).collect();
        let width = |i: usize| {
            let cells = texts.iter().filter_map(|row| row.get(i)).map(|t| t.chars().count());
            cells.chain([titles[i].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..titles.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let padded = cells.iter().zip(&widths).enumerate().map(|(i, (cell, &width))| {
                if i == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            println!("  {}", padded.collect::<Vec<_>>().join("  "));
        };
        line(titles.to_vec());
        texts.iter().for_each(|row| line(row.iter().map(String::as_str).collect()));
        let kept = rows.iter().map(|row| {
            let cells = titles.iter().zip(row).map(|(title, cell)| ((*title).to_owned(), cell.json()));
            Value::Object(cells.collect())
        });
        self.parts.insert(part.to_owned(), Value::Array(kept.collect()));
    }

    /// Holds a figure against its bar.
    pub fn bar(&mut self, what: &str, bar: Bar, found: f64) {
        let (met, sign, most) = match bar {
            Bar::AtLeast(least) => (found >= least, "≥", least),
            Bar::AtMost(most) => (found <= most, "≤", most),
        };
        let verdict = if met { "met" } else { "MISSED" };
        println!("  bar: {what}: {} ({sign} {}): {verdict}", number(found), number(most));
        self.bars.push(
            json!({"what": what, "bar": format!("{sign} {}", number(most)), "found": found, "met": met}),
        );
    }

    /// How many bars were missed so far.
    pub fn missed(&self) -> usize {
        self.bars.iter().filter(|bar| bar["met"] == json!(false)).count()
    }

    /// Says something that no figure says.
    pub fn note(&mut self, part: &str, text: &str) {
        println!("\n{part}: {text}");
        self.parts.insert(part.to_owned(), json!(text));
    }

    /// Writes the JSON.
    pub fn write(self, folder: &Path) -> Result<()> {
        let path = folder.join(format!("{}.json", self.name));
        let all = json!({"bench": self.name, "machine": self.head, "parts": self.parts, "bars": self.bars});
        let text = serde_json::to_string_pretty(&all)?;
        fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
        Ok(())
    }
}

/// What a figure has to reach.
#[derive(Clone, Copy, Debug)]
pub enum Bar {
    /// Not less than this.
    AtLeast(f64),
    /// Not more than this.
    AtMost(f64),
}

/// A cell of a table.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Words.
    Text(String),
    /// A figure.
    Number(f64),
    /// Not measured.
    None,
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Cell::Text(text) => text.clone(),
            Cell::Number(n) => number(*n),
            Cell::None => "–".to_owned(),
        }
    }

    fn json(&self) -> Value {
        match self {
            Cell::Text(text) => json!(text),
            Cell::Number(n) => json!(n),
            Cell::None => Value::Null,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::Text(text)
    }
}

impl From<f64> for Cell {
    fn from(n: f64) -> Cell {
        Cell::Number(n)
    }
}

impl From<u64> for Cell {
    fn from(n: u64) -> Cell {
        Cell::Number(n as f64)
    }
}

impl From<usize> for Cell {
    fn from(n: usize) -> Cell {
        Cell::Number(n as f64)
    }
}

/// A number with about three digits that mean something, and thousands apart.
fn number(n: f64) -> String {
    if n.abs() < 10.0 && n.fract() != 0.0 {
        return format!("{n:.2}");
    }
    if n.abs() < 1000.0 && n.fract() != 0.0 {
        return format!("{n:.1}");
    }
    let digits = format!("{:.0}", n.abs());
    let mut text = if n < 0.0 { "-".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The middle value; of an even number the mean of the middle two. 0 where there is none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown: Vec<String> = [0.5, 12.34, 1234.5, 1_234_567.0, 7.0].map(number).into();
        assert_eq!(shown, ["0.50", "12.3", "1,234", "1,234,567", "7"]);
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0]), 2.5);
        assert_eq!(median([]), 0.0);
    }
}
