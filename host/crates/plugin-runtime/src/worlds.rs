//! What a component asks for and offers, compared in words with what this node has.
//!
//! wasmtime would refuse the same components, but in the language of linkers. Here every difference is
//! found before anything is compiled, and told with the interface, the function and both versions.

use std::sync::LazyLock;

use wit_parser::decoding::DecodedWasm;
use wit_parser::{
    Function, IndexMap, InterfaceId, PackageId, Resolve, SourceMap, WorldId, WorldItem, WorldKey,
};

use crate::kind::Kind;
use crate::module;
use crate::signature;
use crate::skew::{Skew, Way};

/// Files of the WIT package, as the SDK ships them.
const WIT: [(&str, &str); 4] = [
    ("types.wit", include_str!("../../../../plugin-sdk/wit/v1/types.wit")),
    ("host.wit", include_str!("../../../../plugin-sdk/wit/v1/host.wit")),
    ("guest.wit", include_str!("../../../../plugin-sdk/wit/v1/guest.wit")),
    ("worlds.wit", include_str!("../../../../plugin-sdk/wit/v1/worlds.wit")),
];

/// What a component turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Surface {
    pub(crate) kind: Kind,
    /// Interfaces of weir's package that it imports, without version, sorted.
    pub(crate) imports: Vec<String>,
}

struct Known {
    resolve: Resolve,
    package: PackageId,
    version: String,
}

static KNOWN: LazyLock<Result<Known, String>> = LazyLock::new(|| {
    let mut map = SourceMap::new();
    for (name, text) in WIT {
        map.push_str(name, text);
    }
    let group = map.parse().map_err(|(map, error)| wit_parser::render_anyhow_error(&error.into(), &map))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(|error| format!("{error:#}"))?;
    let version = resolve.packages[package].name.version.as_ref().map(ToString::to_string);
    Ok(Known { resolve, package, version: version.unwrap_or_default() })
});

/// The WIT package as this node has it, for tools that make components.
///
/// # Errors
/// When the text in the binary is no WIT, which a test rules out.
pub fn package() -> Result<(Resolve, PackageId), String> {
    let known = KNOWN.as_ref().map_err(Clone::clone)?;
    Ok((known.resolve.clone(), known.package))
}

/// What a component is for and what it imports, told from its types alone: nothing of it is compiled or run. `None` for
/// what is no plugin of this node's.
pub fn outline(bytes: &[u8]) -> Option<(Kind, Vec<String>)> {
    let wasm = module::component(bytes.to_vec()).ok()?;
    compare(&wasm).ok().map(|surface| (surface.kind, surface.imports))
}

/// Compares a component, already validated, with the known worlds.
pub(crate) fn compare(wasm: &[u8]) -> Result<Surface, Vec<Skew>> {
    let undecodable = |error| vec![Skew::Undecodable(error)];
    let known = KNOWN.as_ref().map_err(|error| undecodable(error.clone()))?;
    let (resolve, world) = decode(wasm).map_err(undecodable)?;
    Comparison { known, resolve: &resolve, world }.run()
}

fn decode(wasm: &[u8]) -> Result<(Resolve, WorldId), String> {
    // The decoder is made for what compilers put out; a component made to hurt it must not hurt us.
    match std::panic::catch_unwind(|| wit_parser::decoding::decode(wasm)) {
        Ok(Ok(DecodedWasm::Component(resolve, world))) => Ok((resolve, world)),
        Ok(Ok(DecodedWasm::WitPackage(..))) => Err("it is a WIT package, not a component with code".into()),
        Ok(Err(error)) => Err(format!("{error:#}")),
        Err(_) => Err("its types are beyond the decoder".into()),
    }
}

struct Comparison<'a> {
    known: &'a Known,
    resolve: &'a Resolve,
    world: WorldId,
}

impl Comparison<'_> {
    fn run(&self) -> Result<Surface, Vec<Skew>> {
        let mut skews = Vec::new();
        let kind = self.exports(&mut skews);
        let imports = self.imports(kind, &mut skews);
        match kind {
            Some(kind) if skews.is_empty() => Ok(Surface { kind, imports }),
            _ => Err(skews),
        }
    }

    fn exports(&self, skews: &mut Vec<Skew>) -> Option<Kind> {
        let mut kinds = Vec::new();
        let mut names = Vec::new();
        let mut about = false;
        for key in self.resolve.worlds[self.world].exports.keys() {
            names.push(self.resolve.name_world_key(key));
            let Some((interface, id)) = self.of_weir(key, Way::Exports, skews) else { continue };
            about |= interface == "about";
            kinds.extend(Kind::ALL.into_iter().filter(|kind| kind.name() == interface));
            self.compare_exported(&interface, id, skews);
        }
        if let [kind] = kinds.as_slice() {
            if !about {
                let (interface, function) = ("about".into(), "describe".into());
                skews.push(Skew::NotExported { interface, function });
            }
            return Some(*kind);
        }
        // A version that does not fit has been told already, and says more.
        if skews.is_empty() {
            let shown = if names.is_empty() { "nothing".into() } else { names.join(", ") };
            skews.push(Skew::Kinds(shown));
        }
        None
    }

    fn imports(&self, kind: Option<Kind>, skews: &mut Vec<Skew>) -> Vec<String> {
        let mut imports = Vec::new();
        for (key, item) in &self.resolve.worlds[self.world].imports {
            if matches!(item, WorldItem::Type { .. }) {
                continue;
            }
            let Some((interface, id)) = self.of_weir(key, Way::Imports, skews) else { continue };
            // Types alone can do nothing.
            if self.resolve.interfaces[id].functions.is_empty() {
                continue;
            }
            let allowed = kind.map(|kind| (kind, self.allowed(kind)));
            if let Some((kind, allowed)) = allowed
                && !allowed.contains(&interface)
            {
                let name = self.resolve.name_world_key(key);
                skews.push(Skew::NotForKind { name, kind, allowed: allowed.join(", ") });
            } else {
                self.compare_imported(&interface, id, skews);
                imports.push(interface);
            }
        }
        imports.sort_unstable();
        imports
    }

    /// The interface behind a name, when it is one of weir's in a version that fits.
    fn of_weir(&self, key: &WorldKey, way: Way, skews: &mut Vec<Skew>) -> Option<(String, InterfaceId)> {
        let name = self.resolve.name_world_key(key);
        let Some((id, built_for, interface)) = self.named(key) else {
            // What a component exports beside is nobody's business.
            if way == Way::Imports {
                skews.push(Skew::Unknown { advice: advice_for(&name), name });
            }
            return None;
        };
        let ours = &self.known.resolve.packages[self.known.package];
        let package = format!("{}:{}", ours.name.namespace, ours.name.name);
        let here = self.known.version.clone();
        if !compatible(&built_for, &here) {
            skews.push(Skew::Version { package, way, interface, built_for, here });
            return None;
        }
        if !ours.interfaces.contains_key(&interface) {
            skews.push(Skew::NoInterface { way, name, package, here });
            return None;
        }
        Some((interface, id))
    }

    /// Id, version and name of an interface of weir's package.
    fn named(&self, key: &WorldKey) -> Option<(InterfaceId, String, String)> {
        let WorldKey::Interface(id) = key else { return None };
        let interface = &self.resolve.interfaces[*id];
        let package = &self.resolve.packages[interface.package?].name;
        let ours = &self.known.resolve.packages[self.known.package].name;
        let version = package.version.as_ref().map(ToString::to_string).unwrap_or_default();
        (package.namespace == ours.namespace && package.name == ours.name).then_some((
            *id,
            version,
            interface.name.clone()?,
        ))
    }

    /// Every function that the component imports must be here, as it knows it.
    fn compare_imported(&self, interface: &str, id: InterfaceId, skews: &mut Vec<Skew>) {
        let Some(here) = self.functions_here(interface) else { return };
        for (name, function) in &self.resolve.interfaces[id].functions {
            let (interface, function_name) = (interface.to_owned(), signature::readable(name));
            let Some(known) = here.get(name) else {
                let here = self.known.version.clone();
                skews.push(Skew::NoFunction { interface, function: function_name, here });
                continue;
            };
            let there = signature::of(self.resolve, function);
            let here = signature::of(&self.known.resolve, known);
            if there != here {
                let way = Way::Imports;
                skews.push(Skew::Signature { way, interface, function: function_name, there, here });
            }
        }
    }

    /// Every function that this node calls must be in the component, as this node knows it.
    fn compare_exported(&self, interface: &str, id: InterfaceId, skews: &mut Vec<Skew>) {
        let Some(here) = self.functions_here(interface) else { return };
        let exported = &self.resolve.interfaces[id].functions;
        for (name, known) in here {
            let (interface, function) = (interface.to_owned(), signature::readable(name));
            let Some(there) = exported.get(name) else {
                skews.push(Skew::NotExported { interface, function });
                continue;
            };
            let there = signature::of(self.resolve, there);
            let here = signature::of(&self.known.resolve, known);
            if there != here {
                skews.push(Skew::Signature { way: Way::Exports, interface, function, there, here });
            }
        }
    }

    fn functions_here(&self, interface: &str) -> Option<&IndexMap<String, Function>> {
        let known = &self.known.resolve;
        let id = known.packages[self.known.package].interfaces.get(interface)?;
        Some(&known.interfaces[*id].functions)
    }

    fn allowed(&self, kind: Kind) -> Vec<String> {
        let known = &self.known.resolve;
        let Some(&world) = known.packages[self.known.package].worlds.get(kind.world()) else {
            return Vec::new();
        };
        let keys = known.worlds[world].imports.keys();
        keys.filter_map(|key| match key {
            WorldKey::Interface(id) if !known.interfaces[*id].functions.is_empty() => {
                known.interfaces[*id].name.clone()
            }
            _ => None,
        })
        .collect()
    }
}

/// Additions within a minor version (before 1.0) or a major one are compatible, so that a component for an
/// older one runs; for a newer one it runs if it uses nothing new, which its functions tell.
fn compatible(built_for: &str, here: &str) -> bool {
    let parts = |text: &str| -> Option<(u64, u64)> {
        let mut numbers = text.split('.').map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    parts(built_for)
        .zip(parts(here))
        .is_some_and(|(there, here)| there.0 == here.0 && (here.0 > 0 || there.1 == here.1))
}

fn advice_for(import: &str) -> &'static str {
    if import.starts_with("wasi:") {
        "plugins get no WASI: build Rust for wasm32-unknown-unknown, Python with --stub-wasi, JavaScript with \
         its features disabled"
    } else {
        "a plugin may import interfaces of weir:plugin only"
    }
}
