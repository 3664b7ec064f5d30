//! Whether the running hub is as `/openapi.json` says: schemathesis, of PyPI, sends what fits the description and what does not.

use std::process::Command;

use super::{left_out, packages};
use crate::harness::{Hub, folder, text};

/// What is checked of every answer. Not that everything which fits the description is taken: that a document is well-formed, or a
/// name no secret, no schema tells.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
    response_schema_conformance,negative_data_rejection,unsupported_method,allow_header_conformance";

#[test]
fn the_hub_is_as_its_description_says() {
    if left_out() {
        return;
    }
    let (hub, reports) = (Hub::in_memory(), folder());
    let service = "/v1/streams/main/services/api";
    assert_eq!(hub.capture("service=api", br#"{"a":1,"db":{"host":"x"}}"#).0, 201);
    assert_eq!(hub.http("PUT", &format!("{service}/baseline"), &[], b"").0, 200);
    assert_eq!(hub.http("PUT", &format!("{service}/declared"), &[], br#"{"a":1}"#).0, 200);
    assert_eq!(hub.capture("service=api", br#"{"a":2,"db":{"host":"x"}}"#).0, 201);
    let run = |which: &str| {
        let mut schemathesis = Command::new(packages("python").join("bin/schemathesis"));
        schemathesis.current_dir(reports.path()).args(["run", &format!("{}/openapi.json", hub.url)]);
        schemathesis.args(["--checks", CHECKS, "--phases", "examples,coverage,fuzzing"]);
        // The same requests in every run; so many that it takes some ten seconds.
        schemathesis.args(["--seed", "1", "--max-examples", "30", "--generation-database", "none"]);
        schemathesis.args(["--continue-on-failure", "--no-color", "--warnings", "off"]);
        schemathesis.args(["--report-dir", text(reports.path()), which, "remove"]);
        let said = schemathesis.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{out}\n{err}");
        assert!(out.contains("Test cases:"), "{out}");
    };
    // The examples name this stream, and are worth little once it is gone.
    run("--exclude-operation-id");
    run("--include-operation-id");
}
