//! `/openapi.json` and the routes say the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use rig_testhub::{TestHub, answer, unsealed};

const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "PATCH"];

async fn document(hub: &TestHub) -> Value {
    let (status, document) = answer(hub.client.get(format!("{}/openapi.json", hub.url))).await;
    assert_eq!(status, 200);
    document
}

/// The methods of every path.
fn described(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let paths = document["paths"].as_object().unwrap();
    let methods = |item: &Value| item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
    paths.iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_is_described_and_every_description_is_of_a_route() {
    let hub = crate::hub("", unsealed()).await;
    let described = described(&document(&hub).await);
    assert!(described.len() >= 17, "{described:?}");
    for (path, methods) in &described {
        for method in METHODS {
            let address = path.replace("{stream}", "none").replace("{service}", "none");
            let request = hub.client.request(method.parse().unwrap(), format!("{}{address}", hub.url));
            let (status, said) = answer(request).await;
            assert_ne!(said["code"], "no-such-address", "{path}");
            assert_eq!(status == 405, !methods.contains(method), "{method} {path}: {said}");
        }
    }
    // And nothing stands beside what was described.
    for file in
        ["hub/src/http/routes/mod.rs", "query/src/lib.rs", "web/src/lib.rs", "ingest/src/ssh/routes.rs"]
    {
        let path = format!("{}/../{file}", env!("CARGO_MANIFEST_DIR"));
        let routes = std::fs::read_to_string(path).unwrap();
        assert!(!routes.contains(".route("), "{file}: routes are added with `.routes(routes!(…))`");
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_operation_has_a_parameter_twice() {
    let hub = crate::hub("", unsealed()).await;
    let api = document(&hub).await;
    for (path, methods) in api["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let mut seen = std::collections::BTreeSet::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = (parameter["name"].to_string(), parameter["in"].to_string());
                assert!(seen.insert(name.clone()), "{method} {path}: {name:?} twice");
            }
        }
    }
    hub.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_for_people_lists_the_same_routes_and_codes() {
    let hub = crate::hub("", unsealed()).await;
    let document = document(&hub).await;
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http.md")).unwrap();
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in page.lines().filter(|row| row.starts_with("| `")) {
        let (mut methods, mut paths) = (BTreeSet::new(), Vec::new());
        let cell = row.split('|').nth(1).unwrap();
        for word in cell.split(['`', ' ', ',', '·']).filter(|word| !word.is_empty()) {
            match word.split('?').next().unwrap() {
                method if METHODS.contains(&method) => drop(methods.insert(method.to_owned())),
                path => paths.push(path.replace('…', "/v1/streams/{stream}")),
            }
        }
        for path in paths {
            told.entry(path).or_default().extend(methods.clone());
        }
    }
    assert_eq!(told, described(&document));

    let codes = page.split("## Codes").nth(1).unwrap();
    // Not a route's: what has no route, and a command.
    let others = ["no-such-address", "method-not-allowed", "rig serve", "WWW-Authenticate"];
    let told: BTreeSet<&str> = quoted(codes).filter(|code| !others.contains(code)).collect();
    let described: BTreeSet<&str> = descriptions(&document).flat_map(quoted).collect();
    assert_eq!(told, described);
    hub.stop().await;
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The descriptions of answers that are errors.
fn descriptions(document: &Value) -> impl Iterator<Item = &str> {
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let answers = operations.flat_map(|operation| operation["responses"].as_object().unwrap());
    answers
        .filter(|(status, _)| status.as_str() >= "400")
        .map(|(_, answer)| answer["description"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reference_leads_somewhere() {
    let hub = crate::hub("", unsealed()).await;
    let document = document(&hub).await;
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    hub.stop().await;
}

fn collect<'a>(value: &'a Value, references: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|value| collect(value, references));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, references)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shapes_that_are_described() {
    let hub = crate::hub("", unsealed()).await;
    let document = document(&hub).await;
    let query = "service=api&actor=me&id=k1&meta.operator=me";
    let first = "{\"a\":1,\"db\":{\"host\":\"x\"},\"list\":[]}";
    assert_eq!(hub.capture(query, first).await.0, 201);
    let traffic = "[{\"type\":\"service.ready\",\"service\":\"api\"},{\"type\":\"request.completed\",\"source\":\"api\",\"target\":\"db\",\"method\":\"GET\",\"path\":\"/\",\"status\":200,\"latency_ms\":2},{\"type\":\"environment.up\",\"name\":\"ci\"}]";
    assert_eq!(hub.append("", traffic).await.0, 201);
    let service = "/v1/streams/main/services/api";
    let same = "/v1/streams/main/services/{service}";
    let a_snapshot = "/v1/streams/main/snapshots?service=api";
    let steps = [
        ("PUT", "/v1/streams/other", "", 201),
        ("PUT", "/v1/streams/other", "", 200),
        ("PUT", &format!("{service}/baseline?actor=me&reason=fine"), "", 200),
        ("PUT", &format!("{service}/declared?actor=me&format=toml"), "a = 2", 200),
        ("POST", a_snapshot, "{\"a\":3,\"b\":true,\"db\":{\"host\":\"x\"}}", 201),
        ("POST", "/v1/streams/main/snapshots?service=api&id=k1", first, 200),
        ("POST", "/v1/streams/main/snapshots?service=api&id=k1", "{}", 409),
        ("POST", "/v1/streams/main/snapshots?service=net&format=text", "line\nother\n", 201),
        ("POST", "/v1/streams/main/snapshots?service=net&format=text", "line\nanother\n", 201),
        ("GET", "/v1/streams", "", 200),
        ("GET", "/v1/streams/main", "", 200),
        ("GET", "/v1/streams/main/state", "", 200),
        ("GET", "/v1/streams/main/state?at=1", "", 200),
        ("GET", "/v1/streams/main/state?at=999", "", 404),
        ("GET", "/v1/streams/main/state?at=x", "", 400),
        ("GET", "/v1/whoami", "", 200),
        ("GET", "/v1/streams/main/why?seq=1", "", 200),
        ("GET", "/v1/streams/main/why?seq=999", "", 404),
        ("GET", "/v1/streams/main/explain", "", 200),
        ("GET", "/v1/streams/main/traffic", "", 200),
        ("GET", "/v1/streams/main/find?q=READY&service=api", "", 200),
        ("GET", "/v1/streams/main/find", "", 400),
        ("GET", &format!("{service}/config"), "", 200),
        ("GET", &format!("{service}/baseline"), "", 200),
        ("GET", &format!("{service}/declared"), "", 200),
        ("GET", &format!("{service}/history?limit=3"), "", 200),
        ("GET", &format!("{service}/history"), "", 200),
        ("GET", &format!("{service}/diff?from=1"), "", 200),
        ("GET", "/v1/streams/main/services/net/diff?from=0", "", 404),
        ("GET", &format!("{service}/blame?path=a"), "", 200),
        ("GET", &format!("{service}/blame?path=**"), "", 200),
        (
            "POST",
            &format!("{service}/drift/accept"),
            "{\"reason\":\"a while\",\"until\":\"2999-01-01T00:00:00Z\"}",
            200,
        ),
        ("GET", "/v1/streams/main/state", "", 200),
        ("DELETE", &format!("{service}/declared"), "", 200),
        ("DELETE", &format!("{service}/baseline"), "", 200),
        ("DELETE", &format!("{service}/baseline"), "", 404),
        ("POST", "/v1/streams/main/events", "{\"type\":\"log.sealed\"}", 400),
        ("POST", a_snapshot, "{", 422),
    ];
    for (method, address, body, expected) in steps {
        let request = hub.client.request(method.parse().unwrap(), format!("{}{address}", hub.url));
        let (status, said) = answer(request.body(body.to_owned())).await;
        assert_eq!(status, expected, "{method} {address}: {said}");
        let path = address.split('?').next().unwrap().replace("/services/net", "/services/api");
        let path = path.replace(service, same).replace("/main", "/{stream}").replace("/other", "/{stream}");
        let described = &document["paths"][&path][method.to_lowercase()]["responses"][status.to_string()];
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        let schema = &described["content"][kind]["schema"];
        assert!(schema.is_object(), "{method} {path} does not describe {status}");
        if let Err(why) = conforms(&document, schema, &said, "") {
            panic!("{method} {address}: {why} in {said}");
        }
    }
    hub.stop().await;
}

/// Returns true if a value is as a schema says, as far as the schemas here go.
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let members = schema.as_object().ok_or_else(|| format!("{at}: {schema} is no schema"))?;
    if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
        let schema = document.pointer(reference.trim_start_matches('#')).unwrap();
        conforms(document, schema, value, at)?;
    }
    for schema in members.get("allOf").and_then(Value::as_array).into_iter().flatten() {
        conforms(document, schema, value, at)?;
    }
    if let Some(choices) = members.get("oneOf").and_then(Value::as_array) {
        let fits = choices.iter().filter(|schema| conforms(document, schema, value, at).is_ok()).count();
        (fits == 1).then_some(()).ok_or_else(|| format!("{at}: {value} fits {fits} of {choices:?}"))?;
    }
    if let Some(choices) = members.get("enum").and_then(Value::as_array) {
        choices
            .contains(value)
            .then_some(())
            .ok_or_else(|| format!("{at}: {value} is none of {choices:?}"))?;
    }
    let is = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("{other} is not expected here"),
    };
    match members.get("type") {
        None => {}
        Some(Value::Array(kinds)) if kinds.iter().any(is) => {}
        Some(kind @ Value::String(_)) if is(kind) => {}
        Some(kind) => return Err(format!("{at}: {value} is not {kind}")),
    }
    if let (Some(schema), Value::Array(items)) = (members.get("items"), value) {
        items.iter().try_for_each(|item| conforms(document, schema, item, &format!("{at}[]")))?;
    }
    let Value::Object(shown) = value else { return Ok(()) };
    for name in members.get("required").and_then(Value::as_array).into_iter().flatten() {
        shown.get(name.as_str().unwrap()).ok_or_else(|| format!("{at}: {name} is missing"))?;
    }
    for (name, value) in shown {
        let property = members.get("properties").and_then(|properties| properties.get(name));
        match property.or(members.get("additionalProperties")) {
            None => {}
            Some(Value::Bool(allowed)) => {
                allowed.then_some(()).ok_or_else(|| format!("{at}: {name} is not described"))?;
            }
            Some(schema) => conforms(document, schema, value, &format!("{at}.{name}"))?,
        }
    }
    Ok(())
}
