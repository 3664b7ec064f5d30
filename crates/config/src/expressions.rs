//! HCL expressions by their tokens: `terraform fmt` changes blanks and line ends in them, and no meaning.

/// Returns true if two strings hold the same literal text and the same expressions between `${` and `}`, less their
/// spacing.
///
/// A shell's or Compose's `${NAME:-a b}` is no such expression: its blanks are part of a value.
pub(crate) fn same_but_for_spacing(a: &str, b: &str) -> bool {
    if !(a.contains("${") && b.contains("${")) {
        return false;
    }
    match (pieces(a), pieces(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// Literal text as it is, expressions as their tokens; `None` where that is not certain.
fn pieces(text: &str) -> Option<Vec<&str>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = opening(rest) {
        pieces.push(&rest[..at]);
        let inside = &rest[at + 2..];
        let end = tokens(inside, &mut pieces)?;
        rest = &inside[end..];
    }
    pieces.push(rest);
    Some(pieces)
}

/// Returns the place where an expression opens; `$${` is literal.
fn opening(text: &str) -> Option<usize> {
    let escaped = |at: usize| text[..at].ends_with('$');
    text.match_indices("${").map(|(at, _)| at).find(|at| !escaped(*at))
}

/// Adds the tokens of an expression, and returns the byte behind its closing brace.
fn tokens<'a>(text: &'a str, into: &mut Vec<&'a str>) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut first) = (0, 1, true);
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b >= 0x80;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'"' => at += string(&text[at..])?,
            // Comments and here-documents have lines that mean something.
            b'#' => return None,
            b'/' if matches!(bytes.get(at + 1), Some(b'/' | b'*')) => return None,
            b'<' if bytes.get(at + 1) == Some(&b'<') => return None,
            _ if is_word(byte) => {
                // A dash within a name is part of it.
                while bytes.get(at).is_some_and(|b| is_word(*b) || *b == b'-') {
                    at += 1;
                }
                let shell = matches!(bytes.get(at), Some(b':'))
                    && matches!(bytes.get(at + 1), Some(b'-' | b'+' | b'?' | b'='));
                let assigns = bytes.get(at) == Some(&b'=') && bytes.get(at + 1) != Some(&b'=');
                let shell = shell || assigns || matches!(bytes.get(at), Some(b'+' | b'%' | b'^' | b','));
                let default = text[start..at].contains('-') && bytes.get(at) == Some(&b' ');
                if first && (shell || default) {
                    return None;
                }
            }
            b'{' | b'(' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b')' | b']' => {
                depth -= 1;
                at += 1;
                if depth == 0 {
                    into.push("}");
                    return (byte == b'}').then_some(at);
                }
            }
            _ => at += 1,
        }
        first = false;
        into.push(&text[start..at]);
    }
    None
}

/// The length of a quoted string, with the expressions in it.
fn string(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let (mut at, mut depth) = (1, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'$' if bytes.get(at + 1) == Some(&b'{') => {
                depth += 1;
                at += 1;
            }
            b'}' if depth > 0 => depth -= 1,
            b'"' if depth == 0 => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spacing_in_expressions_is_nothing_and_everywhere_else_it_is() {
        for (a, b) in [
            ("${var.a+1}", "${var.a + 1}"),
            ("${cond?1:2}", "${cond ? 1 : 2}"),
            ("n-${ var.x }", "n-${var.x}"),
            ("${merge(a, {\n  x = 1\n})}", "${merge(a, {\n      x   = 1\n  })}"),
            ("${[for s in v : upper(s)]}", "${[for s in v: upper(s)]}"),
        ] {
            assert!(same_but_for_spacing(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("${a - b}", "${a-b}"),
            ("${f(\"a b\")}", "${f(\"a  b\")}"),
            ("a ${x}", "a  ${x}"),
            ("${NAME:-a b}", "${NAME:-ab}"),
            ("${NAME:-a  b}", "${NAME:-a b}"),
            ("${NAME-a  b}", "${NAME-a b}"),
            ("$${ x }", "$${x}"),
            ("${a}", "${b}"),
            ("${<<EOT\na b\nEOT}", "${<<EOT\na  b\nEOT}"),
            ("${ x", "${x"),
        ] {
            assert!(!same_but_for_spacing(a, b), "{a} {b}");
        }
    }
}
