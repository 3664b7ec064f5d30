//! Placeholders: what stands where a secret would, and is not one.

/// Returns true if the text is a placeholder: `${NAME}`, `{{ .Values.name }}`, `$(NAME)`, `<password>`,
/// `***`.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let inner = |open: &str, close: &str| text.strip_prefix(open)?.strip_suffix(close);
    let name = |text: &str| {
        let fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let name = text.trim();
        !name.is_empty() && name.len() <= 64 && name.bytes().all(fine)
    };
    let stars = text.chars().count() >= 3
        && text.chars().all(|c| matches!(c, '*' | 'x' | 'X' | '.' | '?' | '•' | '●' | '+' | '#' | '_'));
    let expression =
        [("${{", "}}"), ("{{", "}}"), ("<%", "%>"), ("#{", "}"), ("%env(", ")%"), ("[[", "]]"), ("((", "))")]
            .iter()
            .any(|(o, c)| {
                inner(o, c)
                    .is_some_and(|inner| !inner.is_empty() && inner.len() <= 200 && !inner.contains("}}"))
            });
    let variable = [("${", "}"), ("{{", "}}"), ("$(", ")"), ("%(", ")s")]
        .iter()
        .any(|(o, c)| inner(o, c).is_some_and(name));
    let said = inner("<", ">").is_some_and(|said| {
        !said.is_empty()
            && said.len() <= 40
            && said.bytes().all(|b| b.is_ascii_lowercase() || matches!(b, b'-' | b'_' | b' '))
    });
    // `$http_authorization`, as nginx has it.
    let nginx = text
        .strip_prefix('$')
        .is_some_and(|rest| rest.contains('_') && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
    let is_template = text.starts_with("{{") && text.ends_with("}}") && {
        let mut rest = text;
        while let Some((_, after)) = rest.strip_prefix("{{").and_then(|rest| rest.split_once("}}")) {
            rest = after.trim_start();
        }
        rest.is_empty()
    };
    stars || is_template || variable || expression || said || nginx || is_variable(text)
}

/// Returns true if the text stands for the value of a variable: `$NAME`, `${env:NAME}`, `$(command)`, `%NAME%`, `@name@`, `$1`, `?`.
fn is_variable(text: &str) -> bool {
    let upper = |name: &str| {
        name.len() >= 2
            && name.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
            && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    let word = |name: &str| {
        !name.is_empty()
            && name.len() <= 100
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-:/~ ()'@|".contains(&b))
    };
    let inner = |open: &str, close: &str| text.strip_prefix(open)?.strip_suffix(close);
    if let Some(name) = inner("${", "}") {
        // `${NAME:-default}` has a value in it, `${NAME:?message}` and `${env:NAME}` have none.
        const KINDS: [&str; 13] = [
            "env:", "ssm:", "self:", "file(", "file:", "sec:", "opt:", "cf:", "s3:", "vault:", "secret:",
            "sm:", "param:",
        ];
        let (_, rest) = name.split_at(name.find([':', '-']).unwrap_or(name.len()));
        let has_no_default =
            matches!(rest, "" | ":" | ":-" | "-") || rest.starts_with(":?") || rest.starts_with(":+");
        return has_no_default || (KINDS.iter().any(|kind| name.starts_with(kind)) && word(name));
    }
    let command = inner("$(", ")")
        .or_else(|| inner("`", "`"))
        .or_else(|| inner("$[", "]"))
        .or_else(|| inner("%[", "]"));
    let framed = [
        ("@", "@"),
        ("%", "%"),
        ("__", "__"),
        ("{env:", "}"),
        ("{env.", "}"),
        ("$__env{", "}"),
        ("$__file{", "}"),
        ("$__vault{", "}"),
        ("[parameters(", ")]"),
        ("[variables(", ")]"),
        ("{{", "}}"),
        ("<", ">"),
        ("#{", "}#"),
    ]
    .iter()
    .any(|(open, close)| {
        inner(open, close)
            .is_some_and(|name| upper(name) || word(name) && name.contains(|c: char| c.is_ascii_alphabetic()))
    });
    let numbered = text
        .strip_prefix(['$', ':', '@'])
        .is_some_and(|rest| !rest.is_empty() && rest.len() <= 2 && rest.bytes().all(|b| b.is_ascii_digit()));
    command.is_some_and(|inner| !inner.is_empty())
        || framed
        || numbered
        || matches!(text, "?" | "%s" | "%d" | "%v" | "%q" | "{}" | "%w")
        || text.strip_prefix('$').is_some_and(upper)
}
