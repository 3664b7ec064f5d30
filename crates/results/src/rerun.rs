//! Commands that run just some tests again, for runners that can.

use std::collections::BTreeMap;

use rig_event::test::Test;

/// Most tests that are named in commands.
const MOST: usize = 1_000;

/// Commands for just these tests, and the tests whose runner has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rerun {
    /// Programs with their arguments.
    pub commands: Vec<Vec<String>>,
    /// Names of tests that cannot be run by themselves.
    pub left: Vec<String>,
}

/// Returns the commands that run just these tests. `program` is the recorded command's, for tests that are programs.
pub fn commands(tests: &[&Test], program: &str) -> Rerun {
    let mut rerun = Rerun::default();
    let mut by_runner: BTreeMap<&str, Vec<&Test>> = BTreeMap::new();
    for test in tests.iter().take(MOST) {
        by_runner.entry(test.runner.as_str()).or_default().push(test);
    }
    for (runner, tests) in by_runner {
        let before = rerun.commands.len();
        of_runner(runner, &tests, program, &mut rerun.commands);
        if rerun.commands.len() == before {
            rerun.left.extend(tests.iter().map(|test| test.full_name()));
        }
    }
    rerun.left.extend(tests.iter().skip(MOST).map(|test| test.full_name()));
    rerun
}

fn of_runner(runner: &str, tests: &[&Test], program: &str, out: &mut Vec<Vec<String>>) {
    let names = |tests: &[&Test]| unique(tests.iter().map(|test| test.name.clone()));
    match runner {
        "pytest" => {
            let nodes = tests.iter().filter_map(|test| {
                let mut parts = pytest_suite(test);
                // A part of a test runs with it.
                match test.parent {
                    Some(_) => {}
                    None => parts.push(test.name.clone()),
                }
                (!parts.is_empty()).then(|| parts.join("::"))
            });
            push(out, &["pytest"], unique(nodes));
        }
        "unittest" | "nose2" => {
            let ids = tests.iter().map(|test| {
                let name = test.name.split(' ').next().unwrap_or_default();
                let whole = [
                    test.suite.join("."),
                    if name.starts_with("setUp") { String::new() } else { name.to_owned() },
                ];
                whole.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
            });
            push(out, &["python3", "-m", "unittest"], unique(ids));
        }
        "cargo-test" | "libtest" => {
            let mut by: BTreeMap<Vec<String>, Vec<&Test>> = BTreeMap::new();
            for test in tests {
                let target = match (
                    test.suite.as_slice(),
                    test.name.contains(" - ") && test.name.contains("(line "),
                ) {
                    (_, true) => vec!["--doc".to_owned()],
                    ([_, binary, ..], _) => vec!["--test".to_owned(), binary.clone()],
                    ([_], _) => vec!["--lib".to_owned()],
                    ([], _) => Vec::new(),
                };
                by.entry(target).or_default().push(test);
            }
            for (target, tests) in by {
                let mut command = vec!["cargo".to_owned(), "test".to_owned()];
                command.extend(target);
                command.extend(["--".to_owned(), "--exact".to_owned()]);
                command.extend(names(&tests));
                out.push(command);
            }
        }
        "cargo-nextest" => {
            let tests = names(tests).into_iter().map(|name| format!("test(={name})")).collect::<Vec<_>>();
            push(out, &["cargo", "nextest", "run", "-E"], vec![tests.join(" | ")]);
        }
        "go-test" => {
            for (package, tests) in
                by(tests, |test| test.suite.first().cloned().unwrap_or_else(|| ".".to_owned()))
            {
                let tops = unique(
                    tests.iter().map(|test| test.name.split('/').next().unwrap_or_default().to_owned()),
                );
                let pattern = match (tests.as_slice(), tops.as_slice()) {
                    ([one], _) if one.name.contains('/') => one
                        .name
                        .split('/')
                        .map(|part| format!("^{}$", escaped(part)))
                        .collect::<Vec<_>>()
                        .join("/"),
                    _ => any(&tops),
                };
                push(out, &["go", "test", "-run"], vec![pattern, package]);
            }
        }
        "jest" | "vitest" | "mocha" | "node-test" => {
            let files = unique(tests.iter().filter_map(|test| {
                // A file that did not load stands for its tests.
                if test.suite.is_empty() && test.name.contains(['/', '.']) && !test.name.contains(' ') {
                    return Some(test.name.clone());
                }
                let first = test.suite.first().filter(|part| part.contains('.') && !part.contains(' '));
                first.cloned().or_else(|| test.file.clone())
            }));
            let full = |test: &Test| {
                let inner = test.suite.iter().filter(|part| !files.contains(part)).map(String::as_str);
                let names: Vec<&str> = inner.chain([test.name.as_str()]).collect();
                if runner == "node-test" { test.name.clone() } else { names.join(" ") }
            };
            // A file that did not load runs as a whole.
            let whole = tests.iter().any(|test| files.contains(&test.name));
            let pattern = any_in(&unique(tests.iter().map(|test| full(test))));
            let mut command: Vec<String> = match runner {
                "jest" => vec!["npx".into(), "jest".into()],
                "vitest" => vec!["npx".into(), "vitest".into(), "run".into()],
                "mocha" => vec!["npx".into(), "mocha".into()],
                _ => vec!["node".into(), "--test".into()],
            };
            match runner {
                _ if whole => {}
                "mocha" => command.extend(["-g".to_owned(), pattern]),
                "node-test" => command.push(format!("--test-name-pattern={pattern}")),
                _ => command.extend(["-t".to_owned(), pattern]),
            }
            command.extend(files);
            out.push(command);
        }
        "playwright" => push(out, &["npx", "playwright", "test"], places(tests, false)),
        "rspec" => push(out, &["rspec"], places(tests, true)),
        "exunit" => push(out, &["mix", "test"], places(tests, true)),
        "behave" => push(out, &["behave"], places(tests, true)),
        "prove" => push(out, &["prove"], unique(tests.iter().filter_map(|test| test.file.clone()))),
        "ctest" => push(out, &["ctest", "--output-on-failure", "-R"], vec![any(&names(tests))]),
        "bats" => {
            let files = unique(tests.iter().filter_map(|test| test.file.clone()));
            let pattern = any(&names(tests));
            if !files.is_empty() {
                push(out, &["bats", "-f", &pattern], files);
            }
        }
        "minitest" => {
            for (file, tests) in by(tests, |test| test.file.clone().unwrap_or_default()) {
                if !file.is_empty() {
                    push(out, &["ruby", &file, "-n"], vec![format!("/{}/", any(&names(&tests)))]);
                }
            }
        }
        "phpunit" => {
            let all = unique(tests.iter().map(|test| format!("{}::{}", test.suite.join("\\"), test.name)));
            push(
                out,
                &["phpunit", "--filter"],
                vec![format!("/({})$/", all.iter().map(|name| escaped(name)).collect::<Vec<_>>().join("|"))],
            );
        }
        "surefire" => {
            let all = by(tests, |test| test.suite.join("."));
            let all = all
                .into_iter()
                .map(|(class, tests)| format!("{class}#{}", names(&tests).join("+")))
                .collect::<Vec<_>>();
            push(out, &["mvn", "test"], vec![format!("-Dtest={}", all.join(","))]);
        }
        "gradle" => {
            let all = unique(tests.iter().map(|test| format!("{}.{}", test.suite.join("."), test.name)));
            push(
                out,
                &["gradle", "test"],
                all.into_iter().flat_map(|name| ["--tests".to_owned(), name]).collect(),
            );
        }
        "googletest" if !program.is_empty() => {
            let all = unique(tests.iter().map(|test| format!("{}.{}", test.suite.join("."), test.name)));
            push(out, &[program], vec![format!("--gtest_filter={}", all.join(":"))]);
        }
        "catch2" if !program.is_empty() => {
            let all = unique(tests.iter().map(|test| test.suite.first().unwrap_or(&test.name).clone()));
            push(out, &[program], vec![all.join(",")]);
        }
        _ => {}
    }
}

/// The suites as a node of pytest has them: the file, and classes below it.
fn pytest_suite(test: &Test) -> Vec<String> {
    let mut parts = test.suite.clone();
    if let (Some(first), Some(file)) = (parts.first_mut(), &test.file)
        && !first.ends_with(".py")
    {
        // JUnit's class name: what is more than the file is the test's class.
        let module = file.trim_end_matches(".py").replace('/', ".");
        let class = first.strip_prefix(&module).unwrap_or_default().trim_start_matches('.').to_owned();
        file.clone_into(first);
        if !class.is_empty() {
            parts.insert(1, class);
        }
    }
    parts
}

fn by<'a>(tests: &[&'a Test], key: impl Fn(&Test) -> String) -> BTreeMap<String, Vec<&'a Test>> {
    let mut map: BTreeMap<String, Vec<&Test>> = BTreeMap::new();
    for test in tests {
        map.entry(key(test)).or_default().push(test);
    }
    map
}

fn push(out: &mut Vec<Vec<String>>, start: &[&str], rest: Vec<String>) {
    if !rest.is_empty() {
        out.push(start.iter().map(|word| (*word).to_owned()).chain(rest).collect());
    }
}

fn unique(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// `file:line` of tests; without lines, the files.
fn places(tests: &[&Test], lines: bool) -> Vec<String> {
    unique(tests.iter().filter_map(|test| if lines { test.place() } else { test.file.clone() }))
}

fn escaped(name: &str) -> String {
    regex::escape(name)
}

fn any(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| escaped(name)).collect();
    format!("^({})$", names.join("|"))
}

fn any_in(names: &[String]) -> String {
    names.iter().map(|name| escaped(name)).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(runner: &str, suite: &[&str], name: &str) -> Test {
        Test {
            runner: runner.into(),
            suite: suite.iter().map(|part| (*part).to_owned()).collect(),
            name: name.into(),
            ..Test::default()
        }
    }

    #[test]
    fn each_runner_has_its_own_way_to_name_tests() {
        let tests = [
            test("pytest", &["tests/a.py", "TestX"], "test_y[a b]"),
            test("go-test", &["example.com/shop/auth"], "TestToken"),
            test("go-test", &["example.com/shop/auth"], "TestPool"),
            test("cargo-test", &["shop", "api"], "multi_line"),
            test("cargo-test", &["shop"], "tests::x"),
            test("ctest", &[], "password policy"),
            test("command", &[], "make"),
        ];
        let rerun = commands(&tests.iter().collect::<Vec<_>>(), "");
        let lines: Vec<String> = rerun.commands.iter().map(|command| command.join(" ")).collect();
        assert_eq!(
            lines,
            [
                "cargo test --lib -- --exact tests::x",
                "cargo test --test api -- --exact multi_line",
                "ctest --output-on-failure -R ^(password policy)$",
                "go test -run ^(TestToken|TestPool)$ example.com/shop/auth",
                "pytest tests/a.py::TestX::test_y[a b]",
            ]
        );
        assert_eq!(rerun.left, ["make"]);
    }
}
