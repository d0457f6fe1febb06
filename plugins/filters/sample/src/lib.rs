//! `| sample 0.1` keeps a tenth of the records.
//!
//! Which ones depends on their ids alone, so every node, every copy and every repetition of the query agrees.

use weir_plugin_sdk::serde::Deserialize;
use weir_plugin_sdk::{Failure, Filter, Hints, Info, Record, export_filter};

const SCHEMA: &str = r#"{
    "type": "object",
    "additionalProperties": false,
    "required": ["share"],
    "properties": {
        "share": {
            "type": "number", "minimum": 0, "maximum": 1,
            "description": "how much to keep: 0.1 is a tenth"
        }
    },
    "x-args": { "positional": ["share"] }
}"#;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(crate = "weir_plugin_sdk::serde", deny_unknown_fields)]
pub struct Params {
    share: f64,
}

/// The filter.
#[derive(Debug)]
pub struct Sample {
    /// Records whose hash lies below are kept.
    below: u128,
}

impl Filter for Sample {
    type Params = Params;

    fn info() -> Info {
        Info::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
            .config_schema(SCHEMA)
    }

    fn open(Params { share }: Params) -> Result<Sample, Failure> {
        // Of 2^64 hashes; exact enough, since the share has 53 bits.
        Ok(Sample { below: (share * 2_f64.powi(64)) as u128 })
    }

    fn hints(&self) -> Hints {
        Hints { ids: true, ..Hints::default() }
    }

    fn keep(&mut self, record: Record<'_>) -> bool {
        u128::from(mixed(record.id)) < self.below
    }
}

/// A hash of an id. Ids of one batch are counted up, so every bit must be stirred: the finalizer of MurmurHash3 over
/// both halves.
fn mixed(id: [u8; 16]) -> u64 {
    let bits = u128::from_be_bytes(id);
    let stir = |mut hash: u64| {
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        hash ^ (hash >> 33)
    };
    stir(stir((bits >> 64) as u64) ^ bits as u64)
}

export_filter!(Sample);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_kept_of_ids_that_are_counted_up() {
        for (share, least, most) in
            [(0.0, 0, 0), (0.1, 9_600, 10_400), (0.5, 49_300, 50_700), (1.0, 100_000, 100_000)]
        {
            let mut sample = Sample::open(Params { share }).unwrap();
            let ids = (0..100_000_u128).map(|n| (0x0123_4567_89ab_cdef_u128 << 64) + (77 << 40) + n);
            let kept = ids.filter(|id| sample.keep(Record { id: id.to_be_bytes(), ..Record::default() }));
            let kept = kept.count();
            assert!((least..=most).contains(&kept), "{share}: {kept}");
        }
    }
}
