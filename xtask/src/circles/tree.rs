//! A crate as a tree of modules, read from its sources: what each module declares, and in which file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The text of every source file, by its path from the workspace's folder.
pub type Sources = BTreeMap<PathBuf, String>;

/// Modules, the crate's root first. Tests are left out.
pub struct Crate {
    pub modules: Vec<Module>,
}

/// One module, in a file of its own or inline in another's.
pub struct Module {
    pub name: String,
    pub parent: Option<usize>,
    /// The module that owns the file this one is written in: itself, unless it is inline.
    pub file: usize,
    pub path: PathBuf,
    /// Where the files of its child modules are.
    pub folder: PathBuf,
    pub names: Names,
    /// Its items but for child modules, which are entries of their own.
    pub items: Vec<Item>,
}

/// The names that a module or a block declares or imports.
#[derive(Default)]
pub struct Names {
    pub bound: HashMap<String, Vec<Binding>>,
    /// The paths before `::*`.
    pub globs: Vec<Vec<String>>,
}

/// The meaning of a name. A name can have several bindings: a module, a type, a function, a macro.
pub enum Binding {
    Module(usize),
    Item,
    /// Every path in the type that it stands for.
    Alias(Vec<Vec<String>>),
    Import(Vec<String>),
}

impl Crate {
    /// Reads the crate whose root is the file `root`.
    pub fn read(root: &Path, sources: &Sources) -> Result<Self> {
        let mut krate = Crate { modules: Vec::new() };
        let folder = root.parent().unwrap_or(Path::new("")).to_owned();
        krate.read_file("crate", None, root, folder, sources)?;
        Ok(krate)
    }

    /// Returns the module that owns the file of the module's parent.
    pub fn parent_file(&self, module: usize) -> Option<usize> {
        let file = self.modules[module].file;
        self.modules[file].parent.map(|parent| self.modules[parent].file)
    }

    fn read_file(
        &mut self,
        name: &str,
        parent: Option<usize>,
        path: &Path,
        folder: PathBuf,
        sources: &Sources,
    ) -> Result<usize> {
        let text = sources.get(path).with_context(|| format!("{} is missing", path.display()))?;
        let parsed = syn::parse_file(text).with_context(|| format!("{} is not Rust", path.display()))?;
        let module = self.modules.len();
        self.add(
            Module {
                name: name.to_owned(),
                parent,
                file: module,
                path: path.to_owned(),
                folder,
                names: Names::default(),
                items: parsed.items,
            },
            sources,
        )
    }

    /// Adds a module, and those that it declares.
    fn add(&mut self, mut module: Module, sources: &Sources) -> Result<usize> {
        let id = self.modules.len();
        let items = std::mem::take(&mut module.items);
        let (path, file, folder) = (module.path.clone(), module.file, module.folder.clone());
        self.modules.push(module);
        let mut kept = Vec::new();
        for item in items {
            let item = match item {
                item if is_test(attributes(&item)) => continue,
                Item::Mod(item) => item,
                item => {
                    self.modules[id].names.declare(&item);
                    kept.push(item);
                    continue;
                }
            };
            let name = item.ident.to_string();
            // A file that another crate lends is checked there; `fuzz` borrows two.
            if item.attrs.iter().any(|attribute| attribute.path().is_ident("path")) {
                continue;
            }
            let below = folder.join(&name);
            let child = if let Some((_, items)) = item.content {
                let names = Names::default();
                let path = path.clone();
                self.add(
                    Module { name: name.clone(), parent: Some(id), file, path, folder: below, names, items },
                    sources,
                )?
            } else {
                let beside = folder.join(format!("{name}.rs"));
                let path = if sources.contains_key(&beside) { beside } else { below.join("mod.rs") };
                self.read_file(&name, Some(id), &path, below, sources)?
            };
            self.modules[id].names.bind(name, Binding::Module(child));
        }
        self.modules[id].items = kept;
        Ok(id)
    }
}

impl Names {
    /// Adds what an item declares or imports.
    pub fn declare(&mut self, item: &Item) {
        let ident = match item {
            Item::Use(item) if item.leading_colon.is_none() => {
                for leaf in leaves(&item.tree) {
                    match leaf.name {
                        Some(name) => self.bind(name, Binding::Import(leaf.path)),
                        None => self.globs.push(leaf.path),
                    }
                }
                return;
            }
            Item::Type(item) => {
                self.bind(item.ident.to_string(), Binding::Alias(paths(&item.ty)));
                return;
            }
            Item::Macro(item) => item.ident.as_ref(),
            Item::Const(item) => Some(&item.ident),
            Item::Enum(item) => Some(&item.ident),
            Item::Fn(item) => Some(&item.sig.ident),
            Item::Static(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::TraitAlias(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        if let Some(ident) = ident {
            self.bind(ident.to_string(), Binding::Item);
        }
    }

    fn bind(&mut self, name: String, binding: Binding) {
        self.bound.entry(name).or_default().push(binding);
    }
}

/// One name that a `use` imports.
pub struct Leaf {
    pub path: Vec<String>,
    /// Its name here; none for a glob.
    pub name: Option<String>,
}

/// Spells out a `use`, one path for each name.
pub fn leaves(tree: &UseTree) -> Vec<Leaf> {
    fn walk(tree: &UseTree, path: &[String], leaves: &mut Vec<Leaf>) {
        let with = |name: String| [path, &[name]].concat();
        match tree {
            UseTree::Path(tree) => walk(&tree.tree, &with(tree.ident.to_string()), leaves),
            UseTree::Group(tree) => tree.items.iter().for_each(|tree| walk(tree, path, leaves)),
            UseTree::Glob(_) => leaves.push(Leaf { path: path.to_owned(), name: None }),
            UseTree::Name(tree) if tree.ident == "self" => {
                leaves.push(Leaf { path: path.to_owned(), name: path.last().cloned() });
            }
            UseTree::Name(tree) => {
                let name = tree.ident.to_string();
                leaves.push(Leaf { path: with(name.clone()), name: Some(name) });
            }
            UseTree::Rename(tree) => {
                let path = if tree.ident == "self" { path.to_owned() } else { with(tree.ident.to_string()) };
                leaves.push(Leaf { path, name: Some(tree.rename.to_string()) });
            }
        }
    }
    let mut found = Vec::new();
    walk(tree, &[], &mut found);
    found
}

fn paths(ty: &syn::Type) -> Vec<Vec<String>> {
    struct Paths(Vec<Vec<String>>);
    impl<'ast> Visit<'ast> for Paths {
        fn visit_path(&mut self, path: &'ast syn::Path) {
            if path.leading_colon.is_none() {
                self.0.push(segments(path));
            }
            visit::visit_path(self, path);
        }
    }
    let mut paths = Paths(Vec::new());
    paths.visit_type(ty);
    paths.0
}

pub fn segments(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| segment.ident.to_string()).collect()
}

/// Returns true if the attributes leave the thing out of every build but that of the tests.
pub fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("test")
            || attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Meta>().is_ok_and(|predicate| needs_test(&predicate))
    })
}

fn needs_test(predicate: &syn::Meta) -> bool {
    let parts = |list: &syn::MetaList| {
        let comma = syn::punctuated::Punctuated::<syn::Meta, syn::Token![,]>::parse_terminated;
        list.parse_args_with(comma).unwrap_or_default()
    };
    match predicate {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) if list.path.is_ident("all") => parts(list).iter().any(needs_test),
        syn::Meta::List(list) if list.path.is_ident("any") => parts(list).iter().all(needs_test),
        _ => false,
    }
}

pub fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}
