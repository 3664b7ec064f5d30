//! The result of a test: what `test.started`, `test.passed`, `test.failed` and `test.skipped` carry.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use crate::Seq;

/// A test began, or ended. The event's type has the verdict.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TestEvent {
    /// The test. Clients may send anything under this name; only what is of this form is read.
    #[serde(default, deserialize_with = "of_this_form")]
    pub test: Test,
}

/// Reads a test; any other value is an empty one.
fn of_this_form<'de, D: Deserializer<'de>>(value: D) -> Result<Test, D::Error> {
    let value = Value::deserialize(value)?;
    Ok(Test::deserialize(value).unwrap_or_default())
}

/// A try of a test, or several tests that the runner only counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Test {
    /// Equal for the same test in two runs, on two machines and from two kinds of report.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// The program that ran it: `pytest`, `cargo-test`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runner: String,
    /// Where it was read: `output`, `junit`, `tap`, `json`, `trx`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The result file that it was read from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub report: Option<String>,
    /// Names of the suites around it, the outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub suite: Vec<String>,
    /// Its name without those, with its parameters.
    pub name: String,
    /// The part of the name that is its parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<String>,
    /// The file of the failure, or of the declaration, relative to the working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column in it, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
    /// True if the place is that of the declaration.
    #[serde(skip_serializing_if = "is_false")]
    pub declared: bool,
    /// The first line that says what is wrong, or why it was skipped.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// More about it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The kind of a failure or a skip.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<TestKind>,
    /// Milliseconds that the runner reported, as decimals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<Number>,
    /// The number of this try, from 1; absent if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// The number of tries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The `id` of the test that it is a part of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The first and the last event with its output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<(Seq, Seq)>,
    /// The number of tests that this stands for, where the runner counts them without naming them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// True if the runner is unknown, and general rules recognised the result.
    #[serde(skip_serializing_if = "is_false")]
    pub guessed: bool,
}

/// The kind of a failure or a skip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestKind {
    /// An expectation did not hold.
    Failed,
    /// Set-up, an exception, loading or building failed.
    Errored,
    /// It took too long.
    Timeout,
    /// Its process ended.
    Crashed,
    /// It was left out.
    Skipped,
    /// It is yet to be written.
    Todo,
    /// It failed, as it was expected to.
    ExpectedFailure,
    /// It is switched off.
    Disabled,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

impl TestKind {
    /// Returns the kind as it stands in events.
    pub fn as_str(self) -> &'static str {
        match self {
            TestKind::Failed => "failed",
            TestKind::Errored => "errored",
            TestKind::Timeout => "timeout",
            TestKind::Crashed => "crashed",
            TestKind::Skipped => "skipped",
            TestKind::Todo => "todo",
            TestKind::ExpectedFailure => "expected-failure",
            TestKind::Disabled => "disabled",
            TestKind::Unknown => "unknown",
        }
    }
}

impl Test {
    /// Returns the suites and the name on one line: `tests/unit/test_a.py › TestX › test_y`.
    pub fn full_name(&self) -> String {
        let parts = self.suite.iter().map(String::as_str).chain([self.name.as_str()]);
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" › ")
    }

    /// Returns `file:line`, or the file alone, or nothing.
    pub fn place(&self) -> Option<String> {
        let file = self.file.as_ref()?;
        Some(self.line.map_or_else(|| file.clone(), |line| format!("{file}:{line}")))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}
