//! Functions of WIT as text: equal text means equal shape, through aliases and across packages.

use std::fmt::Write as _;

use wit_parser::{Function, Handle, Resolve, Type, TypeDefKind, TypeId};

/// Where a signature is cut. Types of a hostile component may unfold without end; a cut one never
/// equals one of ours, which are shorter.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// `func(name: type, …) -> type`, every named type but resources written out.
pub(crate) fn of(resolve: &Resolve, function: &Function) -> String {
    let mut text = Text { resolve, out: String::new() };
    text.push("func(");
    for (index, param) in function.params.iter().enumerate() {
        text.push(if index == 0 { "" } else { ", " });
        text.push(&param.name);
        text.push(": ");
        text.ty(&param.ty);
    }
    text.push(")");
    if let Some(result) = &function.result {
        text.push(" -> ");
        text.ty(result);
    }
    text.out
}

/// `[method]file.stat` as `file.stat`.
pub(crate) fn readable(name: &str) -> String {
    name.split_once(']').map_or(name, |(_, rest)| rest).to_owned()
}

struct Text<'a> {
    resolve: &'a Resolve,
    out: String,
}

impl Text<'_> {
    fn full(&self) -> bool {
        self.out.len() > TEXT_BYTES_MAX
    }

    fn push(&mut self, text: &str) {
        if !self.full() {
            self.out.push_str(text);
        }
    }

    fn ty(&mut self, ty: &Type) {
        match ty {
            Type::Id(id) => self.defined(*id),
            Type::Bool => self.push("bool"),
            Type::U8 => self.push("u8"),
            Type::U16 => self.push("u16"),
            Type::U32 => self.push("u32"),
            Type::U64 => self.push("u64"),
            Type::S8 => self.push("s8"),
            Type::S16 => self.push("s16"),
            Type::S32 => self.push("s32"),
            Type::S64 => self.push("s64"),
            Type::F32 => self.push("f32"),
            Type::F64 => self.push("f64"),
            Type::Char => self.push("char"),
            Type::String => self.push("string"),
            Type::ErrorContext => self.push("error-context"),
        }
    }

    fn defined(&mut self, id: TypeId) {
        if self.full() {
            return;
        }
        let resolve = self.resolve;
        let def = &resolve.types[id];
        match &def.kind {
            TypeDefKind::Type(ty) => self.ty(ty),
            TypeDefKind::List(ty) => self.around("list<", [Some(ty)], ">"),
            TypeDefKind::Option(ty) => self.around("option<", [Some(ty)], ">"),
            TypeDefKind::Result(it) => self.around("result<", [it.ok.as_ref(), it.err.as_ref()], ">"),
            TypeDefKind::Tuple(it) => self.around("tuple<", it.types.iter().map(Some), ">"),
            TypeDefKind::Record(it) => {
                self.cases("record", it.fields.iter().map(|field| (field.name.as_str(), Some(&field.ty))));
            }
            TypeDefKind::Variant(it) => {
                self.cases("variant", it.cases.iter().map(|case| (case.name.as_str(), case.ty.as_ref())));
            }
            TypeDefKind::Enum(it) => {
                self.cases("enum", it.cases.iter().map(|case| (case.name.as_str(), None)));
            }
            TypeDefKind::Flags(it) => {
                self.cases("flags", it.flags.iter().map(|flag| (flag.name.as_str(), None)));
            }
            TypeDefKind::Resource => self.push(def.name.as_deref().unwrap_or("resource")),
            TypeDefKind::Handle(Handle::Own(id)) => self.around("own<", [Some(&Type::Id(*id))], ">"),
            TypeDefKind::Handle(Handle::Borrow(id)) => self.around("borrow<", [Some(&Type::Id(*id))], ">"),
            TypeDefKind::FixedLengthList(ty, length) => {
                self.around("list<", [Some(ty)], "");
                // Writing to a string does not fail.
                let _ = write!(self.out, ", {length}>");
            }
            other => self.push(other.as_str()),
        }
    }

    fn around<'t>(&mut self, open: &str, types: impl IntoIterator<Item = Option<&'t Type>>, close: &str) {
        self.push(open);
        for (index, ty) in types.into_iter().enumerate() {
            self.push(if index == 0 { "" } else { ", " });
            match ty {
                Some(ty) => self.ty(ty),
                None => self.push("_"),
            }
        }
        self.push(close);
    }

    fn cases<'t>(&mut self, open: &str, cases: impl Iterator<Item = (&'t str, Option<&'t Type>)>) {
        self.push(open);
        self.push(" { ");
        for (index, (name, ty)) in cases.enumerate() {
            self.push(if index == 0 { "" } else { ", " });
            self.push(name);
            if let Some(ty) = ty {
                self.push(": ");
                self.ty(ty);
            }
        }
        self.push(" }");
    }
}
