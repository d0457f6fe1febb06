//! From the bytes of a file to a valid component: what is no WebAssembly, damaged, or a bare core
//! module gets an error that says so; a core module with component metadata becomes a component.

use wasmparser::{Parser, Payload, Validator, WasmFeatures};
use wit_component::ComponentEncoder;

use crate::error::LoadFault;
use crate::metadata::Packages;

/// Custom sections that carry a component's metadata in a core module begin with this.
const METADATA: &str = "component-type";

/// A valid component out of the bytes of a file: one that it is, or one that is made of a core module with the metadata of
/// a world. Whether a node would take it, [`Runtime::load`](crate::Runtime::load) says.
pub fn component(bytes: Vec<u8>) -> Result<Vec<u8>, LoadFault> {
    check_magic(&bytes)?;
    // Before anything else looks at the bytes: everything after relies on them being well formed.
    Validator::new_with_features(features())
        .validate_all(&bytes)
        .map_err(|error| LoadFault::Invalid { offset: error.offset(), reason: error.message().to_owned() })?;
    if Parser::is_component(&bytes) { Ok(bytes) } else { componentize(&bytes) }
}

/// What the engine takes, too: no threads, no 64-bit memories, nothing asynchronous.
fn features() -> WasmFeatures {
    let off = WasmFeatures::THREADS
        | WasmFeatures::RELAXED_SIMD
        | WasmFeatures::MEMORY64
        | WasmFeatures::GC_TYPES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::CM_ASYNC
        | WasmFeatures::CM_ASYNC_STACKFUL;
    WasmFeatures::default().difference(off).union(WasmFeatures::COMPONENT_MODEL)
}

fn check_magic(bytes: &[u8]) -> Result<(), LoadFault> {
    let what = match bytes {
        [] => "it is empty",
        [0, b'a', b's', b'm', ..] => return Ok(()),
        [0x7f, b'E', b'L', b'F', ..] => {
            "it is native code; a plugin compiled elsewhere is never loaded, give the .wasm file"
        }
        // zstd begins with the byte of a parenthesis, too.
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] => "it is compressed; unpack it first",
        [b'(', ..] => "it is WebAssembly text; assemble it first",
        [b'#', b'!', ..] | [b'<', ..] => "it is text",
        _ => "it does not begin with the four bytes of WebAssembly",
    };
    Err(LoadFault::NotWasm(what))
}

fn componentize(module: &[u8]) -> Result<Vec<u8>, LoadFault> {
    let (mut metadata, mut packages) = (false, Packages::default());
    for payload in Parser::new(0).parse_all(module).flatten() {
        match payload {
            Payload::CustomSection(section) if section.name().starts_with(METADATA) => {
                metadata = true;
                packages.add(section.data()).map_err(LoadFault::Module)?;
            }
            Payload::ImportSection(section) => {
                let wasi = |import: &wasmparser::Import<'_>| import.module.starts_with("wasi_snapshot");
                if section.into_imports().flatten().any(|import| wasi(&import)) {
                    let reason = "it imports WASI preview 1, which plugins do not get; build it for wasm32-unknown-unknown";
                    return Err(LoadFault::Module(reason.into()));
                }
            }
            _ => {}
        }
    }
    if !metadata {
        let reason = "it carries no component metadata; build it with the weir plugin SDK, or with wit-bindgen for a world of weir:plugin";
        return Err(LoadFault::Module(reason.into()));
    }
    packages.check().map_err(LoadFault::Module)?;
    // The encoder is made for what compilers put out; a module made to hurt it must not hurt us.
    let encoded =
        std::panic::catch_unwind(|| ComponentEncoder::default().validate(true).module(module)?.encode());
    match encoded {
        Ok(Ok(component)) => Ok(component),
        Ok(Err(error)) => Err(LoadFault::Module(format!("{error:#}"))),
        Err(_) => Err(LoadFault::Module("its metadata is beyond the encoder".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> String {
        component(bytes.to_vec()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_plugin_is_told_in_words() {
        for (bytes, words) in [
            (&b""[..], "empty"),
            (b"\x7fELF\x02\x01", "never loaded"),
            (b"(component)", "assemble"),
            (b"\x1f\x8b\x08", "compressed"),
            (b"#!/bin/sh", "text"),
            (b"MZ", "four bytes"),
            (b"\0asm", "at byte 4"),
            (b"\0asm\x01\0\0\0", "no component metadata"),
            (b"\0asm\x63\0\x01\0", "at byte"),
        ] {
            let fault = fault(bytes);
            assert!(fault.contains(words), "{bytes:?}: {fault}");
        }
    }

    #[test]
    fn wasi_of_old_is_refused_by_name() {
        let module = br#"(module (import "wasi_snapshot_preview1" "fd_write" (func)))"#;
        assert!(fault(&wat::parse_bytes(module).unwrap()).contains("WASI preview 1"));
    }

    #[test]
    fn metadata_that_is_no_metadata_is_an_error() {
        for data in ["", "nonsense", "\\00asm\\0d\\00\\01\\00"] {
            let text = format!(r#"(module (@custom "component-type" "{data}"))"#);
            let fault = fault(&wat::parse_str(text).unwrap());
            assert!(fault.contains("cannot be made a component"), "{fault}");
        }
    }

    #[test]
    fn features_that_the_engine_lacks_are_refused() {
        for text in [
            "(module (memory 1 1 shared))",
            "(module (memory i64 1))",
            "(module (func (param v128 v128) (result v128) local.get 0 local.get 1 i8x16.relaxed_swizzle))",
        ] {
            let fault = fault(&wat::parse_str(text).unwrap());
            assert!(fault.contains("at byte"), "{fault}");
        }
    }
}
