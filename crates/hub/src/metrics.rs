//! Metrics for Prometheus: text exposition format 0.0.4.

use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A family of metrics of several things: its name, its type, its help text, and the function that reads it from a thing.
pub type Column<T> = (&'static str, &'static str, &'static str, fn(&T) -> u64);

/// The text of `/metrics`, in the making. A family is in it once: another one of the same name is left out and reported.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    names: BTreeSet<String>,
    twice: BTreeSet<String>,
}

impl Exposition {
    /// Adds a family of metrics with its samples: labels in their written form (`{a="b"}`, or nothing) and values.
    pub fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, u64)]) {
        if self.begin(name, kind, help) {
            for (labels, value) in samples {
                // Writing to a String cannot fail.
                let _ = writeln!(self.text, "{name}{labels} {value}");
            }
        }
    }

    /// Adds several families of things of one kind, each thing with its name as the value of `label`.
    pub fn table<T>(&mut self, columns: &[Column<T>], label: &str, things: &[T], name: fn(&T) -> &str) {
        for (metric, kind, help, read) in columns {
            let sample = |thing: &T| (format!("{{{label}=\"{}\"}}", name(thing)), read(thing));
            self.family(metric, kind, help, &things.iter().map(sample).collect::<Vec<_>>());
        }
    }

    /// Adds a family whose samples are complete lines, each with its line end.
    pub(crate) fn lines(&mut self, name: &str, kind: &str, help: &str, samples: &str) {
        if self.begin(name, kind, help) {
            self.text.push_str(samples);
        }
    }

    /// Begins a family, unless there is one of that name.
    fn begin(&mut self, name: &str, kind: &str, help: &str) -> bool {
        let is_new = self.names.insert(name.to_owned());
        if is_new {
            let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        } else {
            self.twice.insert(name.to_owned());
        }
        is_new
    }

    /// Returns the families that were added more than once.
    pub(crate) fn twice(&self) -> impl Iterator<Item = &str> {
        self.twice.iter().map(String::as_str)
    }

    /// Returns the text.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_stands_there_once() {
        let mut text = Exposition::default();
        text.family("rig_a", "gauge", "A.", &[(String::new(), 1)]);
        text.family("rig_a", "gauge", "Another.", &[(String::new(), 2)]);
        assert_eq!(text.twice().collect::<Vec<_>>(), ["rig_a"]);
        assert_eq!(text.finish(), "# HELP rig_a A.\n# TYPE rig_a gauge\nrig_a 1\n");
    }

    #[test]
    fn a_table_has_a_family_a_column_and_a_sample_a_thing() {
        let columns: [Column<(&str, u64)>; 1] = [("rig_n", "counter", "N.", |thing| thing.1)];
        let mut text = Exposition::default();
        text.table(&columns, "stream", &[("a", 1), ("b", 2)], |thing| thing.0);
        assert!(text.finish().ends_with("rig_n{stream=\"a\"} 1\nrig_n{stream=\"b\"} 2\n"));
    }
}
