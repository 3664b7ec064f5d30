//! Which files a file names: every path in it, followed through re-exports and type aliases to what it stands for.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

use super::tree::{Binding, Crate, Names, attributes, is_test, leaves, segments};

/// From a file to a file, both by the module that owns it, the names that tie them.
pub type Ties = BTreeMap<(usize, usize), BTreeSet<String>>;

/// Finds every tie between two files of a crate.
///
/// Method calls are not followed: that would need types. What a file takes a method of it has nearly always named.
pub fn ties(krate: &Crate) -> Ties {
    let mut ties = Ties::new();
    for (module, entry) in krate.modules.iter().enumerate() {
        let mut reader = Reader { krate, module, blocks: Vec::new(), ties: &mut ties };
        entry.items.iter().for_each(|item| reader.visit_item(item));
    }
    ties
}

/// The meaning of a path.
#[derive(Clone, Copy, PartialEq)]
enum Target {
    Module(usize),
    /// Something declared in this module.
    Item(usize),
}

/// Follows one path.
struct Resolver<'a> {
    krate: &'a Crate,
    /// The bindings that are being followed, or names that import each other would have no end.
    open: HashSet<*const Binding>,
    /// The segment of the written path that is being followed, to say so where it leads to something of another name.
    written: String,
    /// The modules in which a name was found, with the name.
    reached: BTreeSet<(usize, String)>,
}

impl<'a> Resolver<'a> {
    fn new(krate: &'a Crate) -> Self {
        Resolver { krate, open: HashSet::new(), written: String::new(), reached: BTreeSet::new() }
    }

    /// Follows a path that is written in `module`; none if its first segment is not a name of this crate. If `more`
    /// follows the path, it is a module rather than the function of the same name.
    fn path(&mut self, module: usize, path: &[String], more: bool) -> Option<Vec<Target>> {
        let mut targets = Vec::new();
        for (number, segment) in path.iter().enumerate() {
            let more = more || number + 1 < path.len();
            if self.open.is_empty() && !matches!(targets[..], [Target::Item(_), ..]) {
                segment.clone_into(&mut self.written);
            }
            targets = match segment.as_str() {
                "crate" if number == 0 => vec![Target::Module(0)],
                "self" if number == 0 => vec![Target::Module(module)],
                "super" => {
                    let below = if number == 0 { vec![Target::Module(module)] } else { targets };
                    let above = |target: &Target| match target {
                        Target::Module(module) => self.krate.modules[*module].parent.map(Target::Module),
                        Target::Item(_) => None,
                    };
                    below.iter().filter_map(above).collect()
                }
                name if number == 0 => self.lookup(module, name, more)?,
                name => self.step(&targets, name, more),
            };
        }
        Some(targets)
    }

    /// Follows one segment after the first.
    fn step(&mut self, from: &[Target], name: &str, more: bool) -> Vec<Target> {
        let mut found = Vec::new();
        let mut modules = from.iter().filter_map(|target| match target {
            Target::Module(module) => Some(*module),
            Target::Item(_) => None,
        });
        let Some(first) = modules.next() else {
            // A variant, an associated function: it belongs to the type, which has been reached.
            return from.to_owned();
        };
        for module in std::iter::once(first).chain(modules) {
            found.extend(self.lookup(module, name, more).unwrap_or_else(|| {
                // The crate compiles, so a macro declares it.
                self.reach(module, name);
                vec![Target::Item(module)]
            }));
        }
        found
    }

    /// Finds a name in a module; none if the module does not have it, nothing if it comes from another crate.
    fn lookup(&mut self, module: usize, name: &str, more: bool) -> Option<Vec<Target>> {
        let krate = self.krate;
        let names = &krate.modules[module].names;
        if let Some(bindings) = names.bound.get(name) {
            return Some(self.bindings(module, name, bindings, more));
        }
        for glob in &names.globs {
            for target in self.glob(module, glob) {
                if let Target::Module(source) = target
                    && source != module
                    && let Some(targets) = self.lookup(source, name, more)
                {
                    return Some(targets);
                }
            }
        }
        None
    }

    fn bindings(&mut self, module: usize, name: &str, bindings: &'a [Binding], more: bool) -> Vec<Target> {
        let mut found = Vec::new();
        for binding in bindings {
            if !self.open.insert(binding) {
                continue;
            }
            let before = std::mem::take(&mut self.reached);
            let targets = self.binding(module, name, binding, more);
            let reached = std::mem::replace(&mut self.reached, before);
            found.push((targets, reached));
            self.open.remove(&std::ptr::from_ref(binding));
        }
        let is_module = |targets: &[Target]| targets.iter().any(|target| matches!(target, Target::Module(_)));
        if more && found.iter().any(|(targets, _)| is_module(targets)) {
            found.retain(|(targets, _)| is_module(targets));
        }
        let mut all = Vec::new();
        for (targets, reached) in found {
            all.extend(targets);
            self.reached.extend(reached);
        }
        all
    }

    fn binding(&mut self, module: usize, name: &str, binding: &'a Binding, more: bool) -> Vec<Target> {
        match binding {
            Binding::Module(child) => return vec![Target::Module(*child)],
            Binding::Item => (),
            Binding::Alias(paths) => {
                for path in paths {
                    self.path(module, path, false);
                }
            }
            Binding::Import(path) => {
                return match self.path(module, path, more) {
                    Some(targets) => {
                        self.reach(module, name);
                        targets
                    }
                    None => Vec::new(),
                };
            }
        }
        self.reach(module, name);
        vec![Target::Item(module)]
    }

    /// Follows the path before `::*`, unless that is being done already.
    fn glob(&mut self, module: usize, path: &'a [String]) -> Vec<Target> {
        let open = path.as_ptr().cast();
        if !self.open.insert(open) {
            return Vec::new();
        }
        let targets = self.path(module, path, false).unwrap_or_default();
        self.open.remove(&open);
        targets
    }

    fn reach(&mut self, module: usize, name: &str) {
        let label =
            if name == self.written { name.to_owned() } else { format!("{name} as {}", self.written) };
        self.reached.insert((self.krate.modules[module].file, label));
    }
}

/// Reads one module's items.
struct Reader<'a> {
    krate: &'a Crate,
    module: usize,
    /// The names of the blocks that the reader is in.
    blocks: Vec<Names>,
    ties: &'a mut Ties,
}

impl Reader<'_> {
    /// Adds the ties of a path in an expression or a type, which means an item and never a module.
    fn path(&mut self, path: &[String]) {
        let Some(first) = path.first() else { return };
        let Some(bindings) = self.blocks.iter().rev().find_map(|names| names.bound.get(first)) else {
            let mut resolver = Resolver::new(self.krate);
            resolver.path(self.module, path, false);
            self.add(resolver);
            return;
        };
        // What a block declares is in this file; what it imports leads on.
        let imports = bindings.iter().filter_map(|binding| match binding {
            Binding::Import(start) => Some([start, &path[1..]].concat()),
            _ => None,
        });
        for path in imports.collect::<Vec<_>>() {
            let mut resolver = Resolver::new(self.krate);
            resolver.path(self.module, &path, false);
            self.add(resolver);
        }
    }

    /// Adds the ties of what a `use` imports, which can be a module.
    fn import(&mut self, path: &[String]) {
        let mut resolver = Resolver::new(self.krate);
        for target in resolver.path(self.module, path, false).into_iter().flatten() {
            if let Target::Module(module) = target {
                resolver.reach(module, &self.krate.modules[module].name);
            }
        }
        self.add(resolver);
    }

    fn add(&mut self, resolver: Resolver) {
        let from = self.krate.modules[self.module].file;
        for (to, name) in resolver.reached {
            if to != from {
                self.ties.entry((from, to)).or_default().insert(name);
            }
        }
    }

    /// Reads the tokens of a macro call, which could be anything: what looks like a path is one.
    fn tokens(&mut self, tokens: &TokenStream) {
        for path in paths_in(tokens) {
            self.path(&path);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_test(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            for leaf in leaves(&item.tree) {
                self.import(&leaf.path);
            }
        }
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        let mut names = Names::default();
        for statement in &block.stmts {
            if let syn::Stmt::Item(item) = statement {
                names.declare(item);
            }
        }
        self.blocks.push(names);
        visit::visit_block(self, block);
        self.blocks.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.path(&segments(path));
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(&call.tokens);
    }

    /// `#[utoipa::path(…)]` holds paths as tokens, `#[serde(with = "…")]` as a string.
    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(&list.tokens);
        }
    }

    /// Says who may see something, not what it uses.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

/// Everything in tokens that is written like a path, also in strings such as `with = "crate::spelled"`.
fn paths_in(tokens: &TokenStream) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut path = Vec::<String>::new();
    // Colons since the last segment; anything else between two names ends the path.
    let mut colons = 0;
    let mut after_dot = false;
    for token in tokens.clone() {
        match token {
            TokenTree::Ident(ident) => {
                if colons != 2 {
                    found.push(std::mem::take(&mut path));
                }
                if !after_dot {
                    path.push(ident.to_string());
                }
                colons = 0;
                after_dot = false;
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
            TokenTree::Punct(punct) => {
                found.push(std::mem::take(&mut path));
                colons = 0;
                // A range ends in a dot too: what follows `..` is a name of its own.
                after_dot = punct.as_char() == '.' && !after_dot;
            }
            TokenTree::Group(group) => {
                found.push(std::mem::take(&mut path));
                found.extend(paths_in(&group.stream()));
                colons = 0;
                after_dot = false;
            }
            TokenTree::Literal(literal) => {
                found.push(std::mem::take(&mut path));
                let text = literal.to_string();
                let inside = text.trim_matches('"');
                if inside.contains("::")
                    && let Ok(written) = syn::parse_str::<syn::Path>(inside)
                {
                    found.push(segments(&written));
                }
                colons = 0;
                after_dot = false;
            }
        }
    }
    found.push(path);
    found.retain(|path| !path.is_empty());
    found
}
