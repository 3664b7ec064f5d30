//! `.env`: `NAME=value` lines, quotes as in a shell, and no substitution: what a variable refers to is not this
//! document's business.

use serde_json::Value;

use crate::flatten::Flattener;
use crate::lines::LineIndex;
use crate::{Error, Format};

/// Reads a `.env` document.
pub(super) fn read(text: &str, fields: &mut Flattener<'_>) -> Result<(), Error> {
    let mut reader = Reader { text, at: 0, lines: LineIndex::new(text) };
    loop {
        reader.skip(|c| c.is_whitespace());
        match reader.rest().chars().next() {
            None => return Ok(()),
            Some('#') => reader.skip(|c| c != '\n'),
            Some(_) => reader.variable(fields)?,
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: LineIndex<'a>,
}

impl<'a> Reader<'a> {
    fn variable(&mut self, fields: &mut Flattener<'_>) -> Result<(), Error> {
        if let Some(rest) = self.rest().strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            self.at = self.text.len() - rest.len();
            self.skip_blanks();
        }
        let start = self.at;
        self.skip(|c| c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let name = &self.text[start..self.at];
        if name.is_empty() {
            return Err(self.malformed(start, "a name is expected"));
        }
        self.skip_blanks();
        if !self.rest().starts_with('=') {
            return Err(self.malformed(self.at, "a `=` is expected after the name"));
        }
        self.at += 1;
        self.skip_blanks();
        let value = match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote)?,
            _ => self.unquoted(),
        };
        fields.add(&[name], Value::from(value), self.lines.place(start))
    }

    fn unquoted(&mut self) -> String {
        let line = self.rest().split('\n').next().unwrap_or_default();
        self.at += line.len();
        let comment = line
            .char_indices()
            .find(|(i, c)| *c == '#' && line[..*i].chars().next_back().is_none_or(char::is_whitespace));
        line[..comment.map_or(line.len(), |(i, _)| i)].trim().to_owned()
    }

    fn quoted(&mut self, quote: char) -> Result<String, Error> {
        let start = self.at;
        let mut value = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        let end = loop {
            match chars.next() {
                Some((end, c)) if c == quote => break end,
                Some((_, '\\')) if quote == '"' => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, c @ ('"' | '\\' | '$' | '`'))) => value.push(c),
                    Some((_, c)) => value.extend(['\\', c]),
                    None => return Err(self.malformed(start, "this quote does not end")),
                },
                Some((_, c)) => value.push(c),
                None => return Err(self.malformed(start, "this quote does not end")),
            }
        };
        self.at += end + 1;
        self.skip_blanks();
        match self.rest().chars().next() {
            None | Some('\n' | '#') => Ok(value),
            Some(_) => Err(self.malformed(self.at, "nothing but a comment may follow a quoted value")),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, skipped: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|c| !skipped(c)).unwrap_or(rest.len());
    }

    fn skip_blanks(&mut self) {
        self.skip(|c| c.is_whitespace() && c != '\n');
    }

    fn malformed(&self, offset: usize, why: &str) -> Error {
        Error::Malformed { format: Format::Env, at: self.lines.place(offset), why: why.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use crate::Format::Env;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn values_are_read_as_a_shell_would() {
        check(
            Env,
            "# c\nexport A=1\nB = two words # comment\nC=\"x\\n$HOME\" # c\nD='a\\n\nb'\nE=\nF=a#b\nG=#c\n",
            &[
                ("A", "\"1\""),
                ("B", "\"two words\""),
                ("C", "\"x\\n$HOME\""),
                ("D", "\"a\\\\n\\nb\""),
                ("E", "\"\""),
                ("F", "\"a#b\""),
                ("G", "\"\""),
            ],
        );
    }

    #[test]
    fn errors_name_the_place() {
        check_error(Env, "A=1\n A=2", "duplicate-key", 2, 2);
        check_error(Env, "A=1\nhunter2", "malformed-document", 2, 8);
        check_error(Env, "A='hunter2", "malformed-document", 1, 3);
        check_error(Env, "A=\"hunter2\\", "malformed-document", 1, 3);
        check_error(Env, "A='x' hunter2", "malformed-document", 1, 7);
        check_error(Env, "=hunter2", "malformed-document", 1, 1);
    }
}
