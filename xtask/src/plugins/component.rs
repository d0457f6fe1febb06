//! Core module → component.

use std::path::Path;

use anyhow::{Context as _, bail};
use wit_component::ComponentEncoder;

/// The custom section in which the guest's bindings leave the world they were made for.
const METADATA: &[u8] = b"component-type";

/// Reads the core module at `module`, wraps it into a component, validates that and puts it at
/// `component`, whole or not at all. An unchanged component keeps its file, so that a host which
/// embeds it is not built anew.
pub(super) fn write(module: &Path, component: &Path) -> anyhow::Result<()> {
    let bytes = std::fs::read(module).with_context(|| format!("read {}", module.display()))?;
    let encoded = encode(&bytes).with_context(|| format!("make a component of {}", module.display()))?;
    if std::fs::read(component).is_ok_and(|old| old == encoded) {
        return Ok(());
    }
    let unfinished = component.with_extension("wasm.unfinished");
    std::fs::write(&unfinished, &encoded).with_context(|| format!("write {}", unfinished.display()))?;
    std::fs::rename(&unfinished, component).with_context(|| format!("write {}", component.display()))
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    if !module.windows(METADATA.len()).any(|window| window == METADATA) {
        bail!("it was made for no world: a plugin exports itself with a macro of weir-plugin-sdk");
    }
    ComponentEncoder::default().validate(true).module(module)?.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_a_world_is_refused_in_words() {
        let empty = b"\0asm\x01\0\0\0";
        assert!(encode(empty).unwrap_err().to_string().contains("no world"));
    }
}
