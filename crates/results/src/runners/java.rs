//! Maven's surefire and failsafe, and Gradle.

use rig_event::test::TestKind;

use crate::case::{Fill as _, Verdict};
use crate::place::{Place, Project};
use crate::sheet::{Block, Runner, Sheet, Sheets};
use crate::text::{Line, groups, patterns};

patterns! {
    RUNNING = r"^(?:\[INFO\] )?Running (\S+)$";
    HEAD = r"^(?:\[ERROR\] +)?(\S.*?)(?: --)? +Time elapsed: ([\d.,]+) s(?:ec)? +<<< (FAILURE|ERROR)!$";
    CLASS = r"^(?:\[\w+\] )?Tests run: (\d+), Failures: (\d+), Errors: (\d+), Skipped: (\d+), Time elapsed: .*?(?: -+ in (\S+))?$";
    TOTAL = r"^(?:\[\w+\] )?Tests run: (\d+), Failures: (\d+), Errors: (\d+), Skipped: (\d+)(?:, Flakes: \d+)?$";
    FRAME = r"^\s+at (?:[\w.@-]*//?)?([\w.$]+)\.([\w$<>]+)\(([\w$]+\.\w+):(\d+)\)";
    PARAMETERS = r"^(\w+)((?:\{[^}]*\}|\([^)]*\))?\[\d+\]|\{[^}]*\}|\(\))$";
    BUILD = r"^\[ERROR\] (/?\S.*\.(?:java|kt|scala|groovy)):\[(\d+),(\d+)\] (.+)$";
    GRADLE = r"^(\S.*?) > (.+) (FAILED|SKIPPED|PASSED)$";
    GRADLE_AT = r"^ {4,}(\S.*?)(?: at ([\w$]+\.\w+):(\d+))?$";
    GRADLE_END = r"^(\d+) tests? completed, (\d+) failed(?:, (\d+) skipped)?$";
}

/// The packages whose frames are not the project's.
const FOREIGN: [&str; 16] = [
    "java.",
    "javax.",
    "jdk.",
    "sun.",
    "com.sun.",
    "org.junit.",
    "junit.",
    "org.opentest4j.",
    "org.assertj.",
    "org.hamcrest.",
    "org.apache.maven.",
    "org.mockito.",
    "org.testng.",
    "org.gradle.",
    "kotlin.",
    "groovy.",
];

/// A failure: suites, name, kind, what is said, and its frames by class.
type Failure = (Vec<String>, String, TestKind, Block, Vec<(String, Place)>);

/// Reads what Maven and Gradle print.
pub struct Java {
    sheets: Sheets,
    class: String,
    failure: Option<Failure>,
    gradle: bool,
    build: Option<(String, Option<Place>)>,
}

/// The path of a class's file.
pub fn file_of(class: &str, file: &str, project: &Project) -> String {
    let package = class.rsplit_once('.').map_or("", |(package, _)| package);
    let path =
        if package.is_empty() { file.to_owned() } else { format!("{}/{file}", package.replace('.', "/")) };
    if let Some(found) = project.find(&path) {
        return found;
    }
    let language = match file.rsplit_once('.').map_or("", |(_, end)| end) {
        "kt" => "kotlin",
        "scala" => "scala",
        "groovy" => "groovy",
        _ => "java",
    };
    format!("src/test/{language}/{path}")
}

/// Takes a frame apart: its class, and its place.
pub fn frame(text: &str, project: &Project) -> Option<(String, Place)> {
    let [class, _, file, line] = groups(&FRAME, text)?;
    if FOREIGN.iter().any(|foreign| class.starts_with(foreign)) {
        return None;
    }
    let place = Place { file: file_of(class, file, project), line: line.parse().ok(), column: None };
    Some((class.to_owned(), place))
}

/// Chooses the frame to show: the first of the test's own class, or the first there is.
pub fn choose(frames: &[(String, Place)], class: &str) -> Option<Place> {
    let outer = class.split('$').next().unwrap_or(class);
    let own = frames.iter().find(|(of, _)| !outer.is_empty() && of.split('$').next() == Some(outer));
    own.or(frames.first()).map(|(_, place)| place.clone())
}

impl Java {
    /// Begins.
    pub fn new() -> Java {
        Java {
            sheets: Sheets::new("surefire"),
            class: String::new(),
            failure: None,
            gradle: false,
            build: None,
        }
    }

    fn close(&mut self) {
        let Some((suite, name, kind, block, frames)) = self.failure.take() else { return };
        let Some(sheet) = self.sheets.last() else { return };
        if let Some(case) = sheet.fail(&suite, &name, kind) {
            // The test of a nested class is named without it.
            let class = suite.last().map_or("", String::as_str);
            let nested = frames.iter().find(|(of, _)| {
                of.strip_prefix(class).is_some_and(|rest| rest.starts_with('$') && !rest.contains("lambda"))
            });
            if let Some((nested, _)) = nested.filter(|_| !class.is_empty()) {
                case.test.suite = vec![nested.clone()];
            }
            let place = choose(&frames, suite.last().map_or("", String::as_str));
            let message = block.message.clone();
            block.fill(case, place.or(None));
            if case.test.message.is_empty() {
                case.test.say(&message);
            }
        }
    }
}

impl Runner for Java {
    fn line(&mut self, line: &Line<'_>, project: &Project) {
        let text = line.text;
        if text.contains(" T E S T S") {
            self.close();
            self.sheets.now(line);
            return;
        }
        if let Some([class]) = groups(&RUNNING, text) {
            self.close();
            class.clone_into(&mut self.class);
            if text.starts_with("[INFO]") {
                self.sheets.now(line);
            }
            return;
        }
        if let Some([name, seconds, word]) = groups(&HEAD, text) {
            self.close();
            let kind = if word == "ERROR" { TestKind::Errored } else { TestKind::Failed };
            let (class, name) = split(name, &self.class);
            let (name, params) = plain(&name);
            let sheet = self.sheets.now(line);
            if let Some(case) = sheet.fail(&[&class], &name, kind) {
                case.test.seconds(seconds);
                case.test.params = params;
            }
            self.failure = Some((vec![class], name, kind, Block::default(), Vec::new()));
            return;
        }
        if let Some([_, _, _, _, _]) = groups(&CLASS, text) {
            self.close();
            self.sheets.now(line);
            return;
        }
        if let Some([run, failures, errors, skipped]) = groups(&TOTAL, text) {
            self.close();
            if !self.sheets.is_open() {
                return;
            }
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            let sheet = self.sheets.now(line);
            let wrong = number(failures) + number(errors);
            sheet.counts.total = Some(number(run));
            sheet.counts.skipped = Some(number(skipped));
            sheet.counts.passed = Some(number(run).saturating_sub(wrong + number(skipped)));
            sheet.counts.failed = Some(wrong);
            self.sheets.end(true);
            return;
        }
        if let Some([file, at, column, said]) = groups(&BUILD, text) {
            if self.build.is_none() {
                self.build = Some((said.to_owned(), project.place(file, at, column)));
            }
            return;
        }
        if text.starts_with("[ERROR] Failed to execute goal") && text.contains("Compilation failure") {
            if let Some((message, place)) = self.build.take()
                && let Some(case) = self.sheets.now(line).fail::<&str>(&[], "[build]", TestKind::Errored)
            {
                case.test.say(&message);
                case.test.put(place);
            }
            return;
        }
        if let Some([class, name, word]) = groups(&GRADLE, text).filter(|_| !text.starts_with('>')) {
            self.close();
            self.gradle = true;
            let sheet = self.sheets.now(line);
            sheet.runner = "gradle";
            let mut suite: Vec<&str> = vec![class];
            let mut names: Vec<&str> = name.split(" > ").collect();
            let name = names.pop().unwrap_or_default().trim_end_matches("()");
            suite.extend(names);
            match word {
                "PASSED" => {
                    sheet.verdict(&suite, name, Verdict::Passed, None);
                }
                "SKIPPED" => {
                    sheet.verdict(&suite, name, Verdict::Skipped, Some(TestKind::Skipped));
                }
                _ => {
                    sheet.fail(&suite, name, TestKind::Failed);
                    let suite = suite.into_iter().map(str::to_owned).collect();
                    self.failure =
                        Some((suite, name.to_owned(), TestKind::Failed, Block::default(), Vec::new()));
                }
            }
            return;
        }
        if self.gradle
            && let Some([all, failed, skipped]) = groups(&GRADLE_END, text)
        {
            self.close();
            let number = |text: &str| text.parse::<u64>().unwrap_or(0);
            let sheet = self.sheets.now(line);
            sheet.counts.passed = Some(number(all).saturating_sub(number(failed) + number(skipped)));
            sheet.counts.failed = Some(number(failed));
            sheet.counts.skipped = Some(number(skipped));
            self.sheets.end(true);
            self.gradle = false;
            return;
        }
        let Some((suite, _, _, block, frames)) = &mut self.failure else { return };
        if text.is_empty() && !block.detail.is_empty() || text.starts_with("[INFO]") {
            return self.close();
        }
        block.saw(line);
        if let Some(found) = frame(text, project) {
            if frames.len() < 64 {
                frames.push(found);
            }
        } else if self.gradle
            && let Some([said, file, at]) = groups(&GRADLE_AT, text)
        {
            block.say(said);
            if !file.is_empty() && frames.is_empty() {
                let class = suite.first().cloned().unwrap_or_default();
                let place =
                    Place { file: file_of(&class, file, project), line: at.parse().ok(), column: None };
                frames.push((class, place));
            }
        } else if !text.trim_start().starts_with("at ") && !text.starts_with("Caused by:") {
            let said = text.trim();
            // `Type: message`; some messages begin on the next line.
            if block.message.ends_with(':') {
                let whole = format!("{} {said}", block.message);
                block.message = whole;
            } else {
                block.say(said);
            }
        }
    }

    fn finish(mut self: Box<Self>, _: &Project) -> Vec<Sheet> {
        self.close();
        self.sheets.finish()
    }
}

/// A name without its parameters, and those.
pub fn plain(name: &str) -> (String, Option<String>) {
    match groups::<2>(&PARAMETERS, name) {
        Some([name, params]) => (name.to_owned(), Some(params.to_owned())),
        None => (name.to_owned(), None),
    }
}

/// `shop.OrdersTest.adds`, `adds(shop.OrdersTest)` and `adds` taken apart.
fn split(text: &str, class: &str) -> (String, String) {
    if text == class {
        return (class.to_owned(), class.rsplit('.').next().unwrap_or(class).to_owned());
    }
    if let Some(rest) = text.strip_prefix(class).and_then(|rest| rest.strip_prefix('.'))
        && !class.is_empty()
    {
        return (class.to_owned(), rest.to_owned());
    }
    if let Some((name, of)) = text.strip_suffix(')').and_then(|text| text.rsplit_once('('))
        && of.contains(|c: char| c.is_ascii_uppercase())
        && !of.contains(' ')
    {
        return (of.to_owned(), name.to_owned());
    }
    // A nested class is named in full.
    let plain = text.find(['(', '{', '[', ' ']).unwrap_or(text.len());
    match text[..plain].rfind('.') {
        Some(at) => (text[..at].to_owned(), text[at + 1..].to_owned()),
        None => (class.to_owned(), text.to_owned()),
    }
}
