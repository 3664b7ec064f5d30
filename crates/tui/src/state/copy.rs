//! An event as JSON, and a request as a curl command.

use rig_replay::traffic::{Exchange, Protocol};
use serde_json::Value;

/// Most bytes of a body that are put into a command.
const MAX_BODY: usize = 256 << 10;

/// The longest text that terminals take for the clipboard, in bytes.
pub(crate) const MAX_CLIPBOARD: usize = 74_000;

/// An event's line, indented.
pub fn json(line: &[u8]) -> String {
    match serde_json::from_slice::<Value>(line) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(line).into_owned(),
    }
}

/// A request as a command for a shell.
///
/// # Errors
/// In words, when the event is no HTTP request.
pub fn curl(line: &[u8]) -> Result<String, &'static str> {
    let exchange = Exchange::read(line, MAX_BODY).filter(|e| e.row.protocol == Protocol::Http);
    let exchange = exchange.ok_or("only an HTTP request can be copied as curl")?;
    let row = &exchange.row;
    let mut command = String::from("curl");
    let method = row.method.to_uppercase();
    if !matches!(method.as_str(), "" | "GET") {
        command.push_str(&format!(" -X {}", quote(&method)));
    }
    let is_url = row.path.starts_with("http://") || row.path.starts_with("https://");
    let slash = if row.path.starts_with('/') { "" } else { "/" };
    let url = if is_url { row.path.to_string() } else { format!("http://{}{slash}{}", row.target, row.path) };
    command.push_str(&format!(" {}", quote(&url)));
    for (name, values) in &exchange.request_headers {
        let own = ["content-length", "host", "connection", "transfer-encoding", "accept-encoding"];
        if own.contains(&name.to_lowercase().as_str()) {
            continue;
        }
        for value in values {
            command.push_str(&format!(" \\\n  -H {}", quote(&format!("{name}: {value}"))));
        }
    }
    if let Some(body) = &exchange.request_body {
        if body.binary {
            command.push_str(&format!(" \\\n  --data-binary @body  # {} bytes that are no text", body.bytes));
        } else {
            command.push_str(&format!(" \\\n  --data-raw {}", quote(&body.text)));
            if body.truncated {
                command.push_str("  # the body was recorded only in part");
            }
        }
    }
    Ok(command)
}

/// One word for a shell. What could steer the terminal that it is pasted into is written as an escape.
fn quote(text: &str) -> String {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./:=,@%".contains(&b)) {
        return text.to_owned();
    }
    if !text.chars().any(|c| c.is_control() && c != '\n') {
        return format!("'{}'", text.replace('\'', r"'\''"));
    }
    let mut quoted = String::from("$'");
    for c in text.chars() {
        match c {
            '\'' => quoted.push_str("\\'"),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_ascii_control() => quoted.push_str(&format!("\\x{:02x}", c as u32)),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04x}", c as u32)),
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_becomes_a_command_that_a_shell_reads_as_it_was() {
        let line = br#"{"seq":1,"type":"request.completed","timestamp":"2026-11-20T10:00:00Z","request":{"source":"web","target":"api","method":"POST","path":"/a b?x='1'","status_code":500,"request_headers":{"Content-Type":["application/json"],"Content-Length":["9"]},"request_body":"eyJhIjoiJyJ9"}}"#;
        assert_eq!(
            curl(line).unwrap(),
            "curl -X POST 'http://api/a b?x='\\''1'\\''' \\\n  -H 'Content-Type: application/json' \\\n  --data-raw '{\"a\":\"'\\''\"}'"
        );
        assert!(
            curl(br#"{"seq":1,"ts":"2026-11-20T10:00:00Z","type":"service.ready","service":"a"}"#).is_err()
        );
    }

    #[test]
    fn what_is_pasted_holds_no_escape_sequences() {
        assert_eq!(quote("a\u{1b}[201~'\n\u{9b}"), r"$'a\x1b[201~\'\n\u009b'");
        assert_eq!(quote(""), "''");
    }
}
