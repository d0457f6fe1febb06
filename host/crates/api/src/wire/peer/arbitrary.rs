//! Values for tests of several files.

use proptest::prelude::*;
use weir_segment::{OriginName, Unit};

use super::{Origins, UnitOrigins};

/// Units with origins, as a search names them.
pub(super) fn units() -> impl Strategy<Value = Vec<UnitOrigins>> {
    let names = prop::collection::vec((0..3_u64, any::<u64>(), any::<u64>()), 0..6).prop_map(|names| {
        names.into_iter().map(|(node, epoch, piece)| OriginName { node, epoch: epoch % 3, piece }).collect()
    });
    let origins = (0..3, names).prop_map(|(which, names)| match which {
        0 => Origins::All,
        1 => Origins::AllBut(names),
        _ => Origins::Only(names),
    });
    let unit = (0..1_000_u64, "[a-z0-9_-]{1,9}", any::<bool>()).prop_map(|(bucket, class, keyed)| {
        let unit = Unit::new(bucket * 3_600_000, 3_600_000, &class, 1, 4).unwrap();
        if keyed { unit.keyed() } else { unit }
    });
    prop::collection::vec((unit, origins).prop_map(|(unit, origins)| UnitOrigins { unit, origins }), 0..5)
}
