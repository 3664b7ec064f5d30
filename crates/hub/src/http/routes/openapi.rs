//! `/openapi.json`: the annotations of the handlers, with what applies to every route added once.

use std::sync::Arc;

use axum::Extension;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use utoipa::openapi::{InfoBuilder, OpenApi, OpenApiBuilder, Paths};

use crate::http::shapes;

/// Answers that every route may give, by a part of its address: status and codes.
const EVERYWHERE: [(&str, &str, &str); 10] = [
    ("/v1/", "401", "`no-token`, `bad-token`, `revoked-token`, `expired-token`"),
    ("/v1/", "403", "`no-scope`, `other-stream`, `wrong-origin`"),
    ("/v1/", "421", "`wrong-host`"),
    ("/v1/", "429", "`too-many-requests`"),
    ("/v1/", "400", "`bad-query`"),
    ("{stream}", "400", "`bad-address`, `bad-stream-name`"),
    ("{stream}", "404", "`unknown-stream`"),
    ("{service}", "400", "`bad-service-name`"),
    ("/v1/", "500", "`damaged-log`, `defect`"),
    ("/v1/", "503", "`closed`"),
];

/// The OpenAPI document of a hub, serialized.
#[derive(Clone)]
pub(super) struct Document(Arc<str>);

impl Document {
    /// Completes the description of all routes of a hub.
    pub(super) fn new(described: &OpenApi) -> Document {
        Document(document(described).to_string().into())
    }
}

/// The description of this API
///
/// OpenAPI 3.1.
#[utoipa::path(get, path = "/openapi.json", operation_id = "openapi", responses(
    (status = 200, description = "This document", body = Object)
))]
pub(super) async fn openapi(Extension(Document(document)): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}

/// Returns the document that the routes are added to.
pub(super) fn base() -> OpenApi {
    let description = "A flight recorder for configuration and traffic. Errors are `application/problem+json` with a stable \
        `code`. Parameters that a route does not list are refused. docs/http.md tells it in words.";
    let info = InfoBuilder::new()
        .title("rig hub")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")));
    OpenApiBuilder::new().info(info).paths(Paths::new()).build()
}

/// Returns the whole document. The annotations write an error response as its status and codes; its body is added here.
fn document(described: &OpenApi) -> Value {
    let mut document = serde_json::to_value(described).unwrap_or_default();
    document["components"]["schemas"]["Problem"] = schema_of::<shapes::Problem>();
    let Some(paths) = document["paths"].as_object_mut() else { return document };
    for (path, methods) in paths {
        for operation in methods.as_object_mut().into_iter().flat_map(Map::values_mut) {
            for parameter in
                operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten()
            {
                complete_parameter(parameter);
            }
            // A document may be empty.
            if let Some(body) = operation.get_mut("requestBody")
                && body["content"].get("application/octet-stream").is_some()
            {
                body["required"] = false.into();
            }
            let Some(responses) = operation["responses"].as_object_mut() else { continue };
            for (_, status, codes) in EVERYWHERE.iter().filter(|(part, ..)| path.contains(part)) {
                let response = responses.entry(*status).or_insert_with(|| json!({ "description": "" }));
                let said = response["description"].as_str().unwrap_or_default();
                let comma = if said.is_empty() { "" } else { ", " };
                response["description"] = format!("{said}{comma}{codes}").into();
            }
            for (status, response) in responses {
                if status.as_str() >= "400" && response.get("content").is_none() {
                    response["content"] = problem(response["description"].as_str().unwrap_or_default());
                }
            }
        }
    }
    document
}

/// Returns the response of a problem with one of the codes in backticks.
fn problem(description: &str) -> Value {
    let codes: Vec<&str> = description.split('`').skip(1).step_by(2).collect();
    let schema = json!({ "allOf": [
        { "$ref": "#/components/schemas/Problem" },
        { "properties": { "code": { "enum": codes } } },
    ] });
    json!({ "application/problem+json": { "schema": schema } })
}

/// Completes a parameter. One that is absent is not null. Numbers end where the hub's end.
fn complete_parameter(parameter: &mut Value) {
    let Some(schema) = parameter.get_mut("schema") else { return };
    for choices in ["type", "oneOf"] {
        let Some(kinds) = schema.get_mut(choices).and_then(Value::as_array_mut) else { continue };
        kinds.retain(|kind| *kind != "null" && kind["type"] != "null");
        match (choices, kinds.as_slice()) {
            ("type", [only]) => schema["type"] = only.clone(),
            ("oneOf", [only]) => *schema = only.clone(),
            _ => {}
        }
    }
    if schema.get("type").is_some_and(|kind| kind == "integer") && schema.get("maximum").is_none() {
        schema["maximum"] = u64::MAX.into();
    }
}

fn schema_of<T: utoipa::PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}
