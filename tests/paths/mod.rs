//! Every path that a file names, spelt out: `use` trees opened, short names followed to where they come from, `self` and
//! `super` put in full; inside macros and attributes too.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Spacing, Span, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// Something that a file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// In full, as `std::fs::read`; a macro ends with `!`. A single word is a name of this file's or the prelude's.
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    /// Called on a value.
    pub(crate) is_method: bool,
}

/// The modules of other files that this file has and that are not only for tests.
pub(crate) fn modules(file: &syn::File) -> Vec<String> {
    let elsewhere = |item: &Item| match item {
        Item::Mod(module) if module.content.is_none() && !for_tests(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    };
    file.items.iter().filter_map(elsewhere).collect()
}

/// Everything that the file names, which is module `module` (`crate` first), outside of tests.
pub(crate) fn visit(file: &syn::File, module: &[String]) -> Vec<Found> {
    let mut names = Names::default();
    names.visit_file(file);
    let mut paths = Paths { module, names, found: Vec::new() };
    paths.visit_file(file);
    paths.found
}

/// `#[test]`, `#[cfg(test)]`.
fn for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list();
        attribute.path().is_ident("test")
            || (attribute.path().is_ident("cfg") && list.is_ok_and(|list| list.tokens.to_string() == "test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Fn(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => &[],
    }
}

/// Where the short names of a file come from.
#[derive(Default)]
struct Names {
    /// What `use` brought in: its path by its name.
    used: BTreeMap<String, String>,
    /// Modules of its own.
    own: BTreeSet<String>,
}

impl<'a> Visit<'a> for Names {
    fn visit_item(&mut self, item: &'a Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        self.own.insert(module.ident.to_string());
        visit::visit_item_mod(self, module);
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        for (path, name, _) in opened(&item.tree) {
            self.used.insert(name, path);
        }
    }
}

/// The paths of a `use` tree, each with the name it gives and where it stands.
fn opened(tree: &UseTree) -> Vec<(String, String, Span)> {
    match tree {
        UseTree::Path(path) => {
            let below = |(rest, name, span): (String, String, Span)| {
                let own = if name == "self" { path.ident.to_string() } else { name };
                let full = if rest == "self" || rest.is_empty() {
                    path.ident.to_string()
                } else {
                    format!("{}::{rest}", path.ident)
                };
                (full, own, span)
            };
            opened(&path.tree).into_iter().map(below).collect()
        }
        UseTree::Name(name) => vec![(name.ident.to_string(), name.ident.to_string(), name.ident.span())],
        UseTree::Rename(name) => vec![(name.ident.to_string(), name.rename.to_string(), name.ident.span())],
        UseTree::Glob(glob) => vec![(String::new(), "*".to_owned(), glob.star_token.spans[0])],
        UseTree::Group(group) => group.items.iter().flat_map(opened).collect(),
    }
}

struct Paths<'a> {
    module: &'a [String],
    names: Names,
    found: Vec<Found>,
}

impl Paths<'_> {
    fn add(&mut self, path: String, span: Span, is_method: bool) {
        self.found.push(Found { path, line: span.start().line, is_method });
    }

    /// A path as it is written, from `use` or elsewhere.
    fn path(&mut self, written: &[String], span: Span, in_use: bool) {
        let Some(path) = self.spelt_out(written, in_use) else { return };
        self.add(path, span, false);
    }

    /// The path in full; `None` when it leads into the file itself, to a type or to the language.
    fn spelt_out(&self, written: &[String], in_use: bool) -> Option<String> {
        let (first, rest) = written.split_first()?;
        let ups = written.iter().take_while(|step| *step == "super").count();
        if first == "self" || ups > 0 {
            let rest = &written[ups.max(1)..];
            let module = &self.module[..self.module.len().saturating_sub(ups).max(1)];
            return (!(first == "self" && rest.is_empty())).then(|| [module, rest].concat().join("::"));
        }
        let joined = |start: &str| [&[start.to_owned()], rest].concat().join("::");
        if let Some(used) = self.names.used.get(first).filter(|_| !in_use) {
            let used: Vec<String> = used.split("::").map(str::to_owned).collect();
            return self.spelt_out(&[&used, rest].concat(), true);
        }
        // A type or a constant of this file, `T::Item`, `u64::MAX`: the names of crates and modules begin small.
        let own = self.names.own.contains(first) || PRIMITIVES.contains(&first.as_str());
        let is_type = first.starts_with(char::is_uppercase);
        (rest.is_empty() && !in_use || !own && !is_type).then(|| joined(first))
    }

    /// Paths within tokens that are not parsed: `a::b`, `a::b!`, `.a(`.
    fn tokens(&mut self, tokens: TokenStream) {
        let (mut written, mut colons, mut dotted) = (Vec::<String>::new(), 0, false);
        let mut at = Span::call_site();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.end(&mut written, at, dotted);
                        at = ident.span();
                        dotted = dotted && colons == 0;
                    }
                    written.push(ident.to_string());
                    colons = 0;
                    continue;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !written.is_empty() => {
                    colons += 1;
                    if colons == 1 && punct.spacing() == Spacing::Alone {
                        self.end(&mut written, at, dotted);
                        colons = 0;
                    }
                    continue;
                }
                TokenTree::Group(group) => {
                    self.end(&mut written, at, dotted);
                    self.tokens(group.stream());
                    dotted = false;
                }
                TokenTree::Punct(punct) => {
                    self.end(&mut written, at, dotted);
                    dotted = punct.as_char() == '.';
                }
                TokenTree::Literal(_) => {
                    self.end(&mut written, at, dotted);
                    dotted = false;
                }
            }
            colons = 0;
        }
        self.end(&mut written, at, dotted);
    }

    fn end(&mut self, written: &mut Vec<String>, span: Span, dotted: bool) {
        let written = std::mem::take(written);
        match written.as_slice() {
            [] => {}
            [method] if dotted => self.add(method.clone(), span, true),
            path => self.path(path, span, false),
        }
    }
}

/// Types of the language, whose functions are called like a module's.
const PRIMITIVES: [&str; 18] = [
    "bool", "char", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "slice", "str", "u8", "u16", "u32",
    "u64", "u128", "usize",
];

impl<'a> Visit<'a> for Paths<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if !for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
        for (path, _, span) in opened(&item.tree) {
            let written: Vec<String> = path.trim_end_matches("::").split("::").map(str::to_owned).collect();
            self.path(&written, span, true);
        }
    }

    fn visit_item_extern_crate(&mut self, item: &'a syn::ItemExternCrate) {
        self.add(format!("{}::self", item.ident), item.ident.span(), false);
    }

    fn visit_visibility(&mut self, _: &'a syn::Visibility) {}

    fn visit_path(&mut self, path: &'a syn::Path) {
        let written: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let Some(first) = path.segments.first() {
            self.path(&written, first.ident.span(), false);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_method_call(&mut self, call: &'a syn::ExprMethodCall) {
        self.add(call.method.to_string(), call.method.span(), true);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_macro(&mut self, called: &'a syn::Macro) {
        let mut written: Vec<String> = called.path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if let (Some(last), Some(first)) = (written.last_mut(), called.path.segments.first()) {
            last.push('!');
            self.path(&written, first.ident.span(), false);
        }
        self.tokens(called.tokens.clone());
    }

    fn visit_attribute(&mut self, attribute: &'a Attribute) {
        visit::visit_attribute(self, attribute);
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(list.tokens.clone());
        }
    }
}
