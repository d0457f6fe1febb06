use proptest::prelude::*;
use weir_record::{Batch, BatchFlags, IdRun, RecordId};

use super::*;

type Change<'a> = &'a dyn Fn(&mut RawBatch);

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

fn three() -> RawBatch {
    RawBatch {
        arena: b"abcdef".to_vec(),
        ends: vec![1, 1, 6],
        times: vec![5, 0, 7],
        stream_of: vec![1, 0, 1],
        streams: vec![labels(&[("path", "/a")]), labels(&[("path", "/b"), ("_part", "first")])],
        keys: vec![b"k".to_vec(), Vec::new(), b"l".to_vec()],
    }
}

fn configured() -> Stream {
    Stream::new("web", [("env", "prod")]).unwrap()
}

#[test]
fn each_broken_rule_has_its_error() {
    let broken = |change: &dyn Fn(&mut RawBatch)| {
        let mut raw = three();
        change(&mut raw);
        PluginBatch::new(raw, BatchLimits::MAX).unwrap_err()
    };
    let label = |stream, error| PluginBatchError::Label { stream, error };
    let table: [(Change<'_>, PluginBatchError); 19] = [
        (&|raw| raw.ends = vec![1, 0, 6], PluginBatchError::EndsGoDown(1)),
        (&|raw| raw.ends = vec![1, 7, 6], PluginBatchError::EndsGoDown(2)),
        (&|raw| raw.ends = vec![1, 2, 5], PluginBatchError::Uncovered { covered: 5, arena: 6 }),
        (&|raw| raw.ends = vec![1, 2, 7], PluginBatchError::Uncovered { covered: 7, arena: 6 }),
        (
            &|raw| raw.ends = vec![1, 2, u32::MAX],
            PluginBatchError::Record { index: 2, bytes: u32::MAX as usize - 2 },
        ),
        (&|raw| raw.ends.clear(), PluginBatchError::Uncovered { covered: 0, arena: 6 }),
        (
            &|raw| raw.ends = vec![6; BATCH_RECORDS_MAX + 1],
            PluginBatchError::Records { got: BATCH_RECORDS_MAX + 1, max: BATCH_RECORDS_MAX },
        ),
        (
            &|raw| raw.arena = vec![0; BATCH_BYTES_MAX + 1],
            PluginBatchError::Bytes { got: BATCH_BYTES_MAX + 1, max: BATCH_BYTES_MAX },
        ),
        (&|raw| raw.times = vec![1], PluginBatchError::SideList { list: "times", got: 1, records: 3 }),
        (
            &|raw| raw.times = vec![1; 4096],
            PluginBatchError::SideList { list: "times", got: 4096, records: 3 },
        ),
        (
            &|raw| raw.stream_of = vec![0; 4],
            PluginBatchError::SideList { list: "stream-of", got: 4, records: 3 },
        ),
        (&|raw| raw.keys.truncate(2), PluginBatchError::SideList { list: "keys", got: 2, records: 3 }),
        (&|raw| raw.stream_of[2] = 2, PluginBatchError::NoStream { record: 2, stream: 2, streams: 2 }),
        (&|raw| raw.streams.clear(), PluginBatchError::NoStream { record: 0, stream: 1, streams: 0 }),
        (
            &|raw| raw.streams = vec![Labels::new(); PLUGIN_STREAMS_MAX + 1],
            PluginBatchError::Streams(PLUGIN_STREAMS_MAX + 1),
        ),
        (
            &|raw| raw.streams[1] = labels(&[("_time", "arrival")]),
            label(1, StreamError::Reserved("_time".into())),
        ),
        (&|raw| raw.streams[1] = labels(&[("_part", "FIRST")]), PluginBatchError::Part { stream: 1 }),
        (&|raw| raw.streams[0] = labels(&[("a b", "")]), label(0, StreamError::LabelName("a b".into()))),
        (
            &|raw| raw.keys[2] = vec![0; KEY_BYTES_MAX + 1],
            PluginBatchError::Key { record: 2, bytes: KEY_BYTES_MAX + 1 },
        ),
    ];
    for (change, error) in table {
        assert_eq!(broken(change), error);
    }
}

#[test]
fn a_batch_larger_than_asked_for_is_refused() {
    for (limits, error) in [
        (BatchLimits { records: 2, bytes: 6 }, Some(PluginBatchError::Records { got: 3, max: 2 })),
        (BatchLimits { records: 3, bytes: 5 }, Some(PluginBatchError::Bytes { got: 6, max: 5 })),
        (BatchLimits { records: 3, bytes: 6 }, None),
        (BatchLimits { records: usize::MAX, bytes: usize::MAX }, None),
    ] {
        assert_eq!(PluginBatch::new(three(), limits).err(), error);
    }
}

#[test]
fn records_are_split_by_stream_and_configured_labels_win() {
    let batch = PluginBatch::new(three(), BatchLimits::MAX).unwrap();
    let split = batch.into_streams(&configured()).unwrap();
    let shown: Vec<_> = split.iter().map(|it| format!("{:?}", it.stream)).collect();
    assert_eq!(shown, ["topic=web _part=first env=prod path=/b", "topic=web env=prod path=/a"]);
    assert_eq!(
        (split[0].ends.as_slice(), split[0].arena.as_slice()),
        ([1, 6].as_slice(), b"abcdef".as_slice())
    );
    assert_eq!((split[1].ends.as_slice(), split[1].arena.as_slice()), ([0].as_slice(), b"".as_slice()));
    assert_eq!((&split[0].times, &split[1].times), (&vec![5, 7], &vec![0]));
    assert_eq!(split[0].keys, [b"k", b"l"]);

    let mut raw = three();
    raw.streams[1] = labels(&[("env", "dev")]);
    let split = PluginBatch::new(raw, BatchLimits::MAX).unwrap().into_streams(&configured()).unwrap();
    assert_eq!(format!("{:?}", split[0].stream), "topic=web env=prod");
}

#[test]
fn one_stream_moves_as_it_is() {
    for (stream_of, streams, shown) in [
        (vec![], vec![], "topic=web env=prod"),
        (vec![], vec![labels(&[("a", "1")])], "topic=web a=1 env=prod"),
        (vec![1; 3], vec![labels(&[]), labels(&[("a", "2")])], "topic=web a=2 env=prod"),
    ] {
        let raw = RawBatch { stream_of, streams, ..three() };
        let arena = raw.arena.as_ptr();
        let split = PluginBatch::new(raw, BatchLimits::MAX).unwrap().into_streams(&configured()).unwrap();
        let [records] = split.as_slice() else { panic!("{split:?}") };
        assert_eq!(format!("{:?}", records.stream), shown);
        assert_eq!((records.arena.as_ptr(), records.ends.as_slice()), (arena, [1, 1, 6].as_slice()));
    }
}

#[test]
fn too_many_labels_together_are_an_error() {
    let many: Labels = (0..32).map(|n| (format!("l{n}"), "v".into())).collect();
    let raw = RawBatch { streams: vec![many], stream_of: vec![], ..three() };
    let batch = PluginBatch::new(raw, BatchLimits::MAX).unwrap();
    let error = PluginBatchError::Label { stream: 0, error: StreamError::TooLarge };
    assert_eq!(batch.into_streams(&configured()), Err(error));
}

#[test]
fn no_record_is_no_stream() {
    let batch = PluginBatch::new(RawBatch::default(), BatchLimits::MAX).unwrap();
    assert!(batch.is_empty());
    assert_eq!(batch.into_streams(&configured()), Ok(Vec::new()));
}

fn any_raw() -> impl Strategy<Value = RawBatch> {
    let ends = prop_oneof![
        prop::collection::vec(0_u32..40, 0..8),
        prop::collection::vec(0_u32..6, 0..8).prop_map(|steps| {
            steps
                .iter()
                .scan(0, |at, step| {
                    *at += step;
                    Some(*at)
                })
                .collect()
        }),
        prop::collection::vec(any::<u32>(), 0..4),
    ];
    let label = ("[a-z_][a-z]{0,3}|_part|[ -~]{0,4}", "first|middle|[a-z\n]{0,3}");
    let streams = prop::collection::vec(prop::collection::vec(label, 0..3), 0..3);
    (ends, 0..3_usize, prop::bool::weighted(0.8), streams, prop::collection::vec(0_u16..3, 0..8)).prop_map(
        |(ends, side, fits, streams, stream_of)| {
            let arena = ends.last().map_or(0, |&end| end as usize).min(1 << 16) + usize::from(!fits);
            let records = ends.len();
            RawBatch {
                arena: (0..arena).map(|n| n as u8).collect(),
                times: vec![1; if side == 0 { 0 } else { records }],
                keys: vec![vec![7]; if side == 2 { records } else { 0 }],
                stream_of: if side == 1 {
                    stream_of
                } else {
                    stream_of.into_iter().cycle().take(if side == 0 { 0 } else { records }).collect()
                },
                streams,
                ends,
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever passes the check can be split without a panic, loses no record, and fits the host's own
    /// batches.
    #[test]
    fn what_passes_the_check_is_a_batch(raw in any_raw()) {
        let Ok(batch) = PluginBatch::new(raw.clone(), BatchLimits::MAX) else { return Ok(()) };
        let Ok(split) = batch.into_streams(&configured()) else { return Ok(()) };
        let mut records = 0;
        for part in split {
            let count = part.ends.len();
            records += count;
            prop_assert!(part.times.is_empty() || part.times.len() == count);
            prop_assert!(part.keys.is_empty() || part.keys.len() == count);
            let run = IdRun { first: RecordId::from_u128(1), count: count as u32 };
            let batch = Batch::new(part.stream, BatchFlags::NONE, vec![run], part.ends, part.arena);
            prop_assert!(batch.is_ok(), "{batch:?}");
        }
        prop_assert_eq!(records, raw.ends.len());
    }
}
