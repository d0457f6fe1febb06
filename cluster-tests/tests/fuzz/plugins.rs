//! What comes from plugins: batches of records, and component files.

use weir_plugin_runtime::{BatchLimits, Labels, PluginBatch, RawBatch};
use weir_record::Stream;
use wit_component::StringEncoding;

/// What is put into components now and then: names that the loader looks for.
pub(crate) const WORDS: &[&str] = &[
    "component-type",
    "weir:plugin/log@0.1.0",
    "weir:plugin/filter@0.2.0",
    "wasi_snapshot_preview1",
    "\0asm\r\0\u{1}\0",
    "cabi_realloc",
    "cabi_post_",
];

/// Reads a batch of any shape out of bytes: how long each list is, then the lists, then the arena.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn take(&mut self, bytes: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }

    fn number(&mut self) -> u32 {
        // Mostly small ones, as ends are; the largest ones, too.
        match self.byte() {
            0xff => u32::MAX,
            0xfe => 1 << 20,
            low => u32::from(low),
        }
    }

    fn text(&mut self) -> String {
        let bytes = self.byte() as usize;
        String::from_utf8_lossy(&self.take(bytes)).into_owned()
    }

    fn batch(mut self) -> RawBatch {
        let counts: Vec<usize> = (0..5).map(|_| self.byte() as usize).collect();
        let ends = (0..counts[0]).map(|_| self.number()).collect();
        let times = (0..counts[1]).map(|_| u64::from(self.number())).collect();
        let stream_of = (0..counts[2]).map(|_| self.number() as u16).collect();
        let labels = |bytes: &mut Self| -> Labels {
            (0..bytes.byte() % 40).map(|_| (bytes.text(), bytes.text())).collect()
        };
        let streams = (0..counts[3]).map(|_| labels(&mut self)).collect();
        let keys = (0..counts[4])
            .map(|_| {
                let bytes = self.byte() as usize * 5;
                self.take(bytes)
            })
            .collect();
        RawBatch { arena: self.0.to_vec(), ends, times, stream_of, streams, keys }
    }
}

/// A batch, taken apart by its streams: what comes out is what went in, each record once.
pub(crate) fn batch(bytes: &[u8]) {
    let Ok(batch) = PluginBatch::new(Bytes(bytes).batch(), BatchLimits::MAX) else { return };
    let (count, payload_bytes) = (batch.count(), batch.payload_bytes());
    let configured = Stream::new("app", [("host", "web1")]).unwrap_or_else(|error| panic!("{error}"));
    let Ok(streams) = batch.into_streams(&configured) else { return };
    let records: usize = streams.iter().map(|records| records.ends.len()).sum();
    let bytes: usize = streams.iter().map(|records| records.arena.len()).sum();
    assert_eq!((records, bytes), (count, payload_bytes));
    for records in &streams {
        assert_eq!(records.stream.label("host"), Some("web1"));
        assert!(records.ends.is_sorted() && records.ends.last().copied() == Some(records.arena.len() as u32));
        for side in [records.times.len(), records.keys.len()] {
            assert!(side == 0 || side == records.ends.len());
        }
    }
}

/// Sound batches: without side lists, with all of them, of several streams.
pub(crate) fn batches() -> Vec<Vec<u8>> {
    let plain = b"\x03\0\0\0\0\x03\x06\x0bonetwothree".to_vec();
    let full =
        b"\x02\x02\x02\x02\x02\x01\x03\x09\x08\0\x01\x01\x01a\x01b\x01\x05_part\x05first\0\x01keyxxabc";
    let parts =
        b"\x02\0\x02\x03\0\x01\x02\x02\x01\x02\x04host\x04web2\x01c\x01d\0\x01\x02ab\x02xyhi".to_vec();
    vec![plain, full.to_vec(), parts, b"\0\0\0\0\0".to_vec()]
}

/// A file that is said to be a plugin, looked at as far as is done before anything is compiled.
pub(crate) fn component(bytes: &[u8]) {
    if let Some((_, imports)) = weir_plugin_runtime::outline(bytes) {
        assert!(imports.is_sorted());
    }
}

/// A filter as a core module with its metadata, and as the component that it becomes.
pub(crate) fn components() -> Vec<Vec<u8>> {
    let text = r#"(module
        (import "weir:plugin/log@0.1.0" "enabled" (func (param i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
        (func (export "weir:plugin/about@0.1.0#describe") (result i32) (i32.const 0))
        (func (export "weir:plugin/filter@0.1.0#open") (param i32 i32) (result i32) unreachable)
        (func (export "weir:plugin/filter@0.1.0#matches")
            (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32) unreachable))"#;
    let module = || -> Result<Vec<u8>, Box<dyn std::error::Error>> {
        let (resolve, package) = weir_plugin_runtime::wit_package()?;
        let world = resolve.packages[package].worlds["filter-plugin"];
        let mut module = wat::parse_str(text)?;
        wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)?;
        Ok(module)
    };
    let module = module().unwrap_or_else(|error| panic!("{error}"));
    let component = weir_plugin_runtime::component(module.clone()).unwrap_or_else(|error| panic!("{error}"));
    assert!(weir_plugin_runtime::outline(&component).is_some(), "a sound component");
    vec![module, component]
}
