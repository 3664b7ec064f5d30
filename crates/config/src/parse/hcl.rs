//! HCL 2, as Terraform, Nomad and Packer write it.
//!
//! A literal keeps its type. Every other expression is kept as its source, between `${` and `}`, as HCL's own
//! JSON syntax writes it: rig compares configurations and evaluates nothing.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hcl_edit::Span;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Block, Body, Structure};
use hcl_edit::template::{Element, Template};
use serde_json::Value;

use super::number::lenient_number;
use crate::lines::LineIndex;
use crate::lines::Place;
use crate::secrets::is_secret_key;
use crate::shown::shown;
use crate::tree::{Builder, Entries, Node, insert};
use crate::{Error, Format, Limits};

/// The largest HCL document: its parser takes some forty times the document's size in memory.
const MAX_BYTES: u64 = 8 << 20;

/// The parser's own limits: 64 levels of nesting, 128 operators in one expression.
const MAX_NESTING: usize = 64;

/// Objects that are operands, `… <= { … <= {`, and indices in indices, `a[b[`, nested deeper than this are refused: the parser reads each as
/// everything that it may be, and what is in it once more each time, so that every level takes about twice as long as the one below it.
const MAX_OPERANDS: usize = 8;

/// Reads an HCL document.
pub(super) fn read(text: &str, limits: &Limits) -> Result<Option<Node<'static>>, Error> {
    let bytes = text.len() as u64;
    if bytes > MAX_BYTES {
        return Err(Error::TooLarge { bytes, limit: MAX_BYTES });
    }
    let lines = LineIndex::new(text);
    if let Some(offset) = too_many_operands(text) {
        return Err(Error::TooDeep { limit: MAX_OPERANDS, at: lines.place(offset) });
    }
    let body = hcl_edit::parser::parse_body(text).map_err(|error| {
        let (line, column) = (error.location().line() as u64, error.location().column() as u64);
        let at = Place { line, column };
        // The parser's messages name what it expected and quote nothing.
        match error.message() {
            why if why.contains("nesting depth") => {
                Error::TooDeep { limit: limits.depth.min(MAX_NESTING), at }
            }
            // An attribute with the name of another, or of a block.
            why if why.contains("redefined") || why.contains("unique") => {
                let name = text.get(error.location().offset()..).unwrap_or_default();
                let end = name.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
                let name = &name[..end.unwrap_or(name.len())];
                if is_secret_key(name) {
                    Error::SecretInKey { at }
                } else {
                    Error::DuplicateKey { key: shown(name), at }
                }
            }
            why => malformed(at, why),
        }
    })?;
    if body.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader { text, lines, builder: Builder::new(limits) };
    reader.body(&body, Place { line: 1, column: 1 }, 1).map(Some)
}

/// Where an object is an operand, or an index in an index, [`MAX_OPERANDS`] levels down. Brackets in texts and comments count too, which only a
/// text with as many that it does not close comes to feel.
fn too_many_operands(text: &str) -> Option<usize> {
    let (mut open, mut operands, mut before) = (Vec::new(), 0, [b' '; 2]);
    for (offset, byte) in text.bytes().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace()) {
        match byte {
            b'{' | b'[' => {
                let compares = before[1] == b'=' && b"<>=!".contains(&before[0]);
                let is_operand = match byte {
                    b'{' => compares || b"<>!&|+-*/%?".contains(&before[1]),
                    _ => before[1].is_ascii_alphanumeric() || b"_-])}\"".contains(&before[1]),
                };
                operands += usize::from(is_operand);
                open.push(is_operand);
                if operands > MAX_OPERANDS {
                    return Some(offset);
                }
            }
            b'}' | b']' => operands -= usize::from(open.pop().unwrap_or(false)),
            _ => {}
        }
        before = [before[1], byte];
    }
    None
}

struct Reader<'a> {
    text: &'a str,
    lines: LineIndex<'a>,
    builder: Builder,
}

/// The blocks under one name in a body, or under one label below it.
#[derive(Default)]
struct Blocks {
    /// The blocks without a further label.
    here: Vec<Node<'static>>,
    labelled: BTreeMap<String, Blocks>,
}

impl Reader<'_> {
    fn body(&mut self, body: &Body, at: Place, depth: usize) -> Result<Node<'static>, Error> {
        self.builder.check_depth(depth, at)?;
        let mut entries = Entries::new();
        let mut blocks = BTreeMap::<String, (Place, Blocks)>::new();
        for structure in body {
            match structure {
                Structure::Attribute(attribute) => {
                    let at = self.place(&attribute.key);
                    let node = self.expression(&attribute.value, depth)?;
                    insert(&mut entries, attribute.key.to_string().into(), at, node)?;
                }
                Structure::Block(block) => {
                    let at = self.place(&block.ident);
                    let named =
                        blocks.entry(block.ident.to_string()).or_insert_with(|| (at, Blocks::default()));
                    let mut place = &mut named.1;
                    for label in &block.labels {
                        if is_secret_key(label.as_str()) {
                            return Err(Error::SecretInKey { at });
                        }
                        place = place.labelled.entry(label.as_str().to_owned()).or_default();
                    }
                    // A list may come around them, and every label is a level.
                    let node = self.block(block, at, depth + block.labels.len() + 2)?;
                    place.here.push(node);
                }
            }
        }
        for (name, (at, blocks)) in blocks {
            let node = self.blocks(blocks, at)?;
            insert(&mut entries, name.into(), at, node)?;
        }
        self.builder.map(at, entries)
    }

    fn block(&mut self, block: &Block, at: Place, depth: usize) -> Result<Node<'static>, Error> {
        self.body(&block.body, at, depth)
    }

    /// One block is a map and several are a list; where some have a further label and some have not, those go under "".
    fn blocks(&mut self, blocks: Blocks, at: Place) -> Result<Node<'static>, Error> {
        let Blocks { mut here, mut labelled } = blocks;
        if labelled.is_empty() {
            return match here.len() {
                1 => here.pop().map_or_else(|| self.builder.list(at, Vec::new()), Ok),
                _ => self.builder.list(at, here),
            };
        }
        if !here.is_empty() {
            match labelled.entry(String::new()) {
                Entry::Vacant(entry) => drop(entry.insert(Blocks { here, ..Blocks::default() })),
                Entry::Occupied(mut entry) => entry.get_mut().here.append(&mut here),
            }
        }
        let mut entries = Entries::new();
        for (label, blocks) in labelled {
            let node = self.blocks(blocks, at)?;
            entries.insert(Cow::Owned(label), node);
        }
        self.builder.map(at, entries)
    }

    fn expression(&mut self, expression: &Expression, depth: usize) -> Result<Node<'static>, Error> {
        let at = self.place(expression);
        let leaf = match expression {
            Expression::Null(_) => Value::Null,
            Expression::Bool(value) => Value::from(*value.value()),
            Expression::Number(_) => self.number(expression),
            Expression::UnaryOp(_) => match lenient_number(self.source(expression)) {
                Some(number) => number,
                None => self.kept(expression),
            },
            Expression::String(text) => Value::from(literal(text)),
            Expression::StringTemplate(_) => {
                let source = self.source(expression);
                Value::from(source.strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or(source))
            }
            Expression::HeredocTemplate(heredoc) => match plain(&heredoc.template) {
                Some(text) => Value::from(text),
                None => self.kept(expression),
            },
            Expression::Array(items) => {
                self.builder.check_depth(depth + 1, at)?;
                let items =
                    items.iter().map(|item| self.expression(item, depth + 1)).collect::<Result<_, _>>()?;
                return self.builder.list(at, items);
            }
            Expression::Object(object) => {
                self.builder.check_depth(depth + 1, at)?;
                let mut entries = Entries::new();
                for (key, value) in object {
                    let key_at = match key {
                        ObjectKey::Ident(ident) => self.place(ident),
                        ObjectKey::Expression(expression) => self.place(expression),
                    };
                    let node = self.expression(value.expr(), depth + 1)?;
                    insert(&mut entries, self.key(key).into(), key_at, node)?;
                }
                return self.builder.map(at, entries);
            }
            _ => self.kept(expression),
        };
        self.builder.leaf(at, leaf)
    }

    fn key(&self, key: &ObjectKey) -> String {
        match key {
            ObjectKey::Ident(ident) => ident.to_string(),
            ObjectKey::Expression(Expression::String(text)) => literal(text),
            ObjectKey::Expression(expression @ Expression::Number(_)) => self.source(expression).to_owned(),
            ObjectKey::Expression(expression) => format!("${{{}}}", self.source(expression)),
        }
    }

    fn number(&self, expression: &Expression) -> Value {
        let source = self.source(expression);
        lenient_number(source).unwrap_or_else(|| Value::from(source))
    }

    /// Returns an expression that is not a literal, as its source.
    fn kept(&self, expression: &Expression) -> Value {
        Value::from(format!("${{{}}}", self.source(expression)))
    }

    fn source(&self, of: &impl Span) -> &str {
        of.span().and_then(|span| self.text.get(span)).unwrap_or_default().trim()
    }

    fn place(&self, of: &impl Span) -> Place {
        self.lines.place(of.span().unwrap_or_default().start)
    }
}

/// A literal text as HCL's JSON syntax has it, where `${` would begin an expression.
fn literal(text: &str) -> String {
    text.replace("${", "$${")
}

/// The text of a template without anything to evaluate.
fn plain(template: &Template) -> Option<String> {
    let pieces = template.iter().map(|element| match element {
        Element::Literal(text) => Some(literal(text.as_str())),
        Element::Interpolation(_) | Element::Directive(_) => None,
    });
    pieces.collect()
}

fn malformed(at: Place, why: &str) -> Error {
    Error::Malformed { format: Format::Hcl, at, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::Format::Hcl;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn objects_as_operands_in_keys_do_not_keep_the_parser_busy_for_ever() {
        for operator in ["<=", "==", "&&", "+"] {
            let level = format!("{{ 2 < \"\" {operator} ");
            check_error(Hcl, &format!("x = {}", level.repeat(60)), "too-deep", 1, 5 + 9 * level.len() as u64);
        }
        check(
            Hcl,
            "x = a == {} ? {} : { b = c != { d = 1 } }\n",
            &[("x", "\"${a == {} ? {} : { b = c != { d = 1 } }}\"")],
        );
    }

    #[test]
    fn attributes_and_blocks() {
        check(
            Hcl,
            "# c\nregion = \"eu\" // c\nresource \"aws_instance\" \"web\" {\n  count = 2\n  tags = { Name = \"x\", \"a.b\" = true, 1 = null }\n\
             ports = [80, 1e3, -1.50]\n  /* c */ ebs { size = 1 }\n  ebs {\n    size = 2\n  }\n}\nlocals {}\n",
            &[
                ("locals", "{}"),
                ("region", "\"eu\""),
                ("resource.aws_instance.web.count", "2"),
                ("resource.aws_instance.web.ebs[0].size", "1"),
                ("resource.aws_instance.web.ebs[1].size", "2"),
                ("resource.aws_instance.web.ports[0]", "80"),
                ("resource.aws_instance.web.ports[1]", "1e3"),
                ("resource.aws_instance.web.ports[2]", "-1.50"),
                ("resource.aws_instance.web.tags.\"a.b\"", "true"),
                ("resource.aws_instance.web.tags.1", "null"),
                ("resource.aws_instance.web.tags.Name", "\"x\""),
            ],
        );
        check(
            Hcl,
            "b \"x\" {}\nb {\n a = 1\n}\nb \"x\" \"y\" {}\n",
            &[("b.\"\".a", "1"), ("b.x.\"\"", "{}"), ("b.x.y", "{}")],
        );
        check(Hcl, "# nothing\n", &[]);
    }

    #[test]
    fn what_is_no_literal_stays_its_source() {
        check(
            Hcl,
            "a = var.x\nb = \"n-${var.x}\"\nc = cond ? 1 : 2\nd = f(1, [2])\ne = \"$${x}\"\ng = (1)\nh = !true\n\
             i = <<-EOT\n    one\n      two ${x}\n  EOT\nj = <<EOT\none\ntwo\nEOT\nk = [for x in y : x]\nl = {(var.k) = 1}\n",
            &[
                ("a", "\"${var.x}\""),
                ("b", "\"n-${var.x}\""),
                ("c", "\"${cond ? 1 : 2}\""),
                ("d", "\"${f(1, [2])}\""),
                ("e", "\"$${x}\""),
                ("g", "\"${(1)}\""),
                ("h", "\"${!true}\""),
                ("i", "\"${<<-EOT\\n    one\\n      two ${x}\\n  EOT}\""),
                ("j", "\"one\\ntwo\\n\""),
                ("k", "\"${[for x in y : x]}\""),
                ("l.\"${(var.k)}\"", "1"),
            ],
        );
    }

    #[test]
    fn errors_name_the_place() {
        check_error(Hcl, "a = 1\na = 2\n", "duplicate-key", 2, 1);
        check_error(Hcl, "a = 1\na {\n}\n", "duplicate-key", 2, 1);
        check_error(Hcl, "o = {\n a = 1\n a = 2\n}\n", "duplicate-key", 3, 2);
        check_error(Hcl, "b \"ghp_hunter2hunter2hunter2\" {\n}\n", "secret-in-key", 1, 1);
        check_error(Hcl, "x = 1\na = \"hunter2\n", "malformed-document", 2, 1);
        check_error(Hcl, "a = hunter2 hunter2\n", "malformed-document", 1, 13);
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in [
            format!("a = {}", "[".repeat(100_000)),
            format!("a = {}", "(".repeat(100_000)),
            format!("a = {}true", "!".repeat(100_000)),
            format!("a = {}b", "b ? c : ".repeat(100_000)),
            format!("a = {}", "\"${".repeat(100_000)),
            "a {\n".repeat(100_000),
        ] {
            let limits = crate::Limits::default();
            let error = crate::parse(text.as_bytes(), Hcl, &limits).unwrap_err();
            assert_eq!(error.code(), "too-deep", "{error}");
        }
        let labels = format!("a {} {{}}", "\"l\" ".repeat(200));
        check_error(Hcl, &labels, "too-deep", 1, 1);
    }
}
