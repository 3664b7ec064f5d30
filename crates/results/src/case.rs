//! A test with its verdict, and how fields of it are filled within their limits.

use rig_event::Event;
use rig_event::test::{Test, TestEvent, TestKind};
use serde_json::Number;

use crate::text;

/// Maximum length of a message, in bytes.
pub const MESSAGE: usize = 500;

/// Maximum length of what more is said of a failure, in bytes.
pub const DETAIL: usize = 8 << 10;

/// Maximum length of a name or of one suite's name, in bytes.
const NAME: usize = 1_000;

/// Maximum number of suites around a test.
const DEPTH: usize = 32;

/// The end of a try of a test, if it has one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It began or was announced; nothing said how it ended.
    #[default]
    Started,
    /// It did what it should.
    Passed,
    /// It was left out, or failed as expected.
    Skipped,
    /// It did not.
    Failed,
}

/// A test and its verdict.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Case {
    /// The verdict.
    pub verdict: Verdict,
    /// The test.
    pub test: Test,
}

impl Case {
    /// Returns a case of a name in some suites.
    pub fn new<S: AsRef<str>>(suite: &[S], name: &str) -> Case {
        let suite = suite.iter().map(AsRef::as_ref).filter(|part| !part.is_empty());
        let suite: Vec<String> = suite.take(DEPTH).map(|part| text::cut(part.trim(), NAME)).collect();
        let name = text::cut(name.trim(), NAME);
        let params = params(&name);
        Case { verdict: Verdict::Started, test: Test { suite, name, params, ..Test::default() } }
    }

    /// Sets verdict and kind.
    pub fn is(mut self, verdict: Verdict, kind: Option<TestKind>) -> Case {
        (self.verdict, self.test.kind) = (verdict, kind);
        self
    }

    /// Returns a failure.
    pub fn failed<S: AsRef<str>>(suite: &[S], name: &str, kind: TestKind) -> Case {
        Case::new(suite, name).is(Verdict::Failed, Some(kind))
    }

    /// Sets the message to the first line that says something, and the detail to the whole.
    pub fn say(mut self, message: &str) -> Case {
        self.test.say(message);
        self
    }

    /// Sets the place.
    pub fn at(mut self, place: Option<crate::place::Place>) -> Case {
        self.test.put(place);
        self
    }

    /// Returns the number of tests that this stands for.
    pub fn count(&self) -> u64 {
        self.test.count.unwrap_or(1)
    }

    /// Returns the event of this case.
    pub fn event(self) -> Event {
        let payload = TestEvent { test: self.test };
        match self.verdict {
            Verdict::Started => Event::TestStarted(payload),
            Verdict::Passed => Event::TestPassed(payload),
            Verdict::Failed => Event::TestFailed(payload),
            Verdict::Skipped => Event::TestSkipped(payload),
        }
    }
}

/// Fills a [`Test`] within limits.
pub trait Fill {
    /// Sets the message to the first line that says something, and the detail to the whole.
    fn say(&mut self, message: &str);
    /// Sets the place, if there is one.
    fn put(&mut self, place: Option<crate::place::Place>);
    /// Sets the duration, from seconds in decimals such as `0.011` or `9.3e-05`.
    fn seconds(&mut self, seconds: &str);
    /// Sets the duration, from microseconds.
    fn micros(&mut self, micros: u64);
}

impl Fill for Test {
    fn say(&mut self, message: &str) {
        let message = message.trim_matches(['\n', '\r']).trim_end();
        let first = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        self.message = text::cut(first, MESSAGE);
        self.detail = if message.trim() == self.message { String::new() } else { text::cut(message, DETAIL) };
    }

    fn put(&mut self, place: Option<crate::place::Place>) {
        if let Some(place) = place {
            (self.file, self.line, self.column) =
                (Some(text::cut(&place.file, NAME)), place.line, place.column);
            self.declared = false;
        }
    }

    fn seconds(&mut self, seconds: &str) {
        let seconds = seconds.trim().replace(',', "");
        if let Ok(seconds) = seconds.parse::<f64>()
            && (0.0..1e9).contains(&seconds)
        {
            // What a runner reports is decimal; from here on it is whole microseconds.
            self.micros((seconds * 1e6).round() as u64);
        }
    }

    fn micros(&mut self, micros: u64) {
        self.duration_ms = milliseconds(micros);
    }
}

/// Spells microseconds as milliseconds with decimals: 1500 is `1.5`.
fn milliseconds(micros: u64) -> Option<Number> {
    let (whole, rest) = (micros / 1000, micros % 1000);
    let spelled = if rest == 0 { whole.to_string() } else { format!("{whole}.{rest:03}") };
    rig_event::spelled::number(spelled.trim_end_matches(if rest == 0 { ' ' } else { '0' }))
}

/// Returns the part of a name that is its parameters: `[größe]`, `/0`, ` with data set "small"`.
fn params(name: &str) -> Option<String> {
    if let Some(at) = name.find(" with data set ") {
        return Some(name[at + 1..].to_owned());
    }
    if name.ends_with(']')
        && let Some(at) = name.find('[')
    {
        return (at > 0).then(|| name[at..].to_owned());
    }
    let at = name.rfind('/')?;
    let digits = &name[at + 1..];
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| name[at..].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_from_the_name() {
        assert_eq!(params("test_names[a b]").as_deref(), Some("[a b]"));
        assert_eq!(params("IsLarge/0").as_deref(), Some("/0"));
        assert_eq!(params("testPool with data set #0").as_deref(), Some("with data set #0"));
        assert_eq!((params("[code]"), params("a/b")), (None, None));
    }

    #[test]
    fn durations_are_decimals_of_whole_microseconds() {
        let spelled = |micros| milliseconds(micros).unwrap().to_string();
        assert_eq!((spelled(1500), spelled(20), spelled(10_000)), ("1.5".into(), "0.02".into(), "10".into()));
        let mut test = Test::default();
        test.seconds("9.3e-05");
        assert_eq!(test.duration_ms.unwrap().to_string(), "0.093");
    }
}
