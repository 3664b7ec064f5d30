//! trx, the XML of Visual Studio's tests.

use quick_xml::Reader;
use quick_xml::events::Event;
use rig_event::test::TestKind;

use super::failure;
use crate::case::{Case, DETAIL, Fill as _, Verdict};
use crate::place::Project;
use crate::text::cut;

/// Most results of a file.
const CASES: usize = 200_000;

/// Reads a file.
pub fn read(bytes: &[u8], project: &Project) -> (Vec<Case>, Option<String>) {
    let text = String::from_utf8_lossy(bytes);
    let mut xml = Reader::from_str(&text);
    xml.config_mut().check_end_names = false;
    let (mut cases, mut element) = (Vec::<Case>::new(), String::new());
    let (mut message, mut stack) = (String::new(), String::new());
    loop {
        let event = xml.read_event();
        match event {
            Ok(Event::Start(ref start) | Event::Empty(ref start)) => {
                element = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
                if element == "UnitTestResult" {
                    let mut case = Case::default();
                    for pair in start.attributes().with_checks(false).flatten().take(64) {
                        let raw = String::from_utf8_lossy(&pair.value);
                        let value = quick_xml::escape::unescape(&raw)
                            .map_or_else(|_| raw.to_string(), |value| value.into_owned());
                        match pair.key.local_name().as_ref() {
                            b"testName" => {
                                let plain = value.find(['(', ' ']).unwrap_or(value.len());
                                let at = value[..plain].rfind('.');
                                let (suite, name) = at.map_or((None, value.as_str()), |at| {
                                    (Some(&value[..at]), &value[at + 1..])
                                });
                                let (verdict, kind) = (case.verdict, case.test.kind);
                                case =
                                    Case::new(&suite.into_iter().collect::<Vec<_>>(), name).is(verdict, kind);
                            }
                            b"outcome" => {
                                (case.verdict, case.test.kind) = match value.as_str() {
                                    "Passed" | "PassedButRunAborted" => (Verdict::Passed, None),
                                    "NotExecuted" | "Inconclusive" | "Pending" => {
                                        (Verdict::Skipped, Some(TestKind::Skipped))
                                    }
                                    "Timeout" => (Verdict::Failed, Some(TestKind::Timeout)),
                                    "Error" | "Aborted" => (Verdict::Failed, Some(TestKind::Errored)),
                                    "InProgress" => (Verdict::Started, None),
                                    _ => (Verdict::Failed, Some(TestKind::Failed)),
                                };
                            }
                            b"duration" => {
                                let seconds = value
                                    .split(':')
                                    .try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?));
                                if let Some(seconds) = seconds {
                                    case.test.seconds(&seconds.to_string());
                                }
                            }
                            _ => {}
                        }
                    }
                    "trx".clone_into(&mut case.test.runner);
                    if cases.len() >= CASES {
                        return (
                            cases,
                            Some(format!("it has more than {CASES} tests; the others are left out")),
                        );
                    }
                    cases.push(case);
                    (message, stack) = (String::new(), String::new());
                }
            }
            Ok(Event::Text(text)) => add(&element, &String::from_utf8_lossy(&text), &mut message, &mut stack),
            Ok(Event::CData(text)) => {
                add(&element, &String::from_utf8_lossy(&text), &mut message, &mut stack)
            }
            Ok(Event::GeneralRef(reference)) => {
                let name = format!("&{};", String::from_utf8_lossy(&reference));
                let text = quick_xml::escape::unescape(&name)
                    .map_or_else(|_| name.clone(), |text| text.into_owned());
                add(&element, &text, &mut message, &mut stack);
            }
            Ok(Event::End(end)) => {
                if end.local_name().as_ref() == b"ErrorInfo"
                    && let Some(case) = cases.last_mut()
                {
                    case.test.say(&message);
                    let place = failure::place(&stack, &case.test.name, None, "", project);
                    case.test.put(place);
                    case.test.detail = cut(&format!("{message}\n{stack}"), DETAIL);
                }
                element.clear();
            }
            Ok(Event::Eof) => {
                let error = cases.is_empty().then(|| "it has no results".to_owned());
                return (cases, error);
            }
            Ok(_) => {}
            Err(_) => return (cases, Some(format!("it is damaged at byte {}", xml.error_position()))),
        }
    }
}

fn add(element: &str, text: &str, message: &mut String, stack: &mut String) {
    let into = match element {
        "Message" => message,
        "StackTrace" => stack,
        _ => return,
    };
    if into.len() < 4 * DETAIL {
        into.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_has_its_place_and_message() {
        let xml = r#"<?xml version="1.0"?><TestRun xmlns="x"><Results>
<UnitTestResult testName="Shop.OrdersTest.Total(a: 1)" outcome="Failed" duration="00:00:01.5000000"><Output><ErrorInfo>
<Message>Assert.Equal() &lt;failed&gt;</Message><StackTrace>   at Shop.OrdersTest.Total(Int32 a) in /w/tests/OrdersTest.cs:line 12</StackTrace>
</ErrorInfo></Output></UnitTestResult><UnitTestResult testName="Shop.OrdersTest.Adds" outcome="Passed"/></Results></TestRun>"#;
        let (cases, error) = read(xml.as_bytes(), &Project::at("/w"));
        assert_eq!((cases.len(), error), (2, None));
        let test = &cases[0].test;
        assert_eq!((test.suite.clone(), test.name.as_str()), (vec!["Shop.OrdersTest".into()], "Total(a: 1)"));
        assert_eq!(
            (test.place().as_deref(), test.message.as_str()),
            (Some("tests/OrdersTest.cs:12"), "Assert.Equal() <failed>")
        );
        assert_eq!(test.duration_ms.as_ref().unwrap().to_string(), "1500");
    }
}
