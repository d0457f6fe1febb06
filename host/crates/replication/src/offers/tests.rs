use weir_segment::{OriginFlags, OriginName, Unit};

use alloc::vec;

use super::*;

fn held(piece: u64) -> Held {
    let unit = Unit::new(0, 1000, "a", 0, 1).unwrap();
    let name = OriginName { node: 1, epoch: 2, piece };
    let digest = RecordDigest([piece as u8; 16]);
    Held { unit, name, flags: OriginFlags::NONE, count: 1, low_ms: 1, high_ms: 2, digest, bytes: 10 }
}

fn offers(replication: usize, pieces: u64) -> Offers {
    let mut offers = Offers::new(replication);
    for piece in 0..pieces {
        assert!(offers.offer(held(piece), 0));
    }
    offers
}

fn confirm(offers: &mut Offers, store: u64, piece: u64) -> Result<Confirmed, ConfirmError> {
    let held = held(piece);
    offers.confirm(store, &held.key(), held.digest, Confirmation::Held)
}

#[test]
fn confirmations_count_once_per_store_and_repeats_change_nothing() {
    let mut offers = offers(2, 2);
    assert_eq!(confirm(&mut offers, 7, 0), Ok(Confirmed::First));
    assert_eq!(confirm(&mut offers, 7, 0), Ok(Confirmed::Again));
    let complete = Completed { held: held(0), stores: vec![7, 8], expired: 0 };
    assert_eq!(complete.gone(), Gone::HandedOver(vec![7, 8]));
    assert_eq!(confirm(&mut offers, 8, 0), Ok(Confirmed::Complete(complete)));
    for store in [7, 8, 9] {
        assert_eq!(confirm(&mut offers, store, 0), Ok(Confirmed::AlreadyComplete));
    }
    assert_eq!(confirm(&mut offers, 7, 9), Err(ConfirmError::Unknown));
    assert_eq!((offers.len(), offers.contains(&held(0).key())), (1, false));
}

#[test]
fn other_records_under_the_name_count_for_nothing() {
    let mut offers = offers(1, 1);
    let (expected, got) = (held(0).digest, held(1).digest);
    let refused = Err(ConfirmError::Digest { expected, got });
    assert_eq!(offers.confirm(7, &held(0).key(), got, Confirmation::Held), refused);
    assert!(offers.confirmed_by(&held(0).key()).is_empty());
    assert!(matches!(confirm(&mut offers, 7, 0), Ok(Confirmed::Complete(_))));
    assert_eq!(offers.confirm(7, &held(0).key(), got, Confirmation::Held), refused);
}

#[test]
fn what_has_expired_counts_like_a_copy() {
    let mut offers = offers(2, 1);
    let key = held(0).key();
    assert_eq!(offers.confirm(7, &key, held(3).digest, Confirmation::Expired), Ok(Confirmed::First));
    let Ok(Confirmed::Complete(completed)) = offers.confirm(8, &key, held(3).digest, Confirmation::Expired)
    else {
        panic!("two of two");
    };
    assert_eq!((completed.expired, completed.gone()), (2, Gone::Expired));
}

#[test]
fn no_more_stores_fetch_than_are_needed() {
    let mut offers = offers(2, 1);
    let key = held(0).key();
    assert_eq!(offers.claim(7, &key, 1000).unwrap().until_ms, 1000 + CLAIM_MS);
    assert!(offers.claim(8, &key, 1500).is_ok());
    assert_eq!(offers.claim(9, &key, 2000), Err(Refused::Busy { retry_ms: CLAIM_MS - 1000 }));
    // Claiming again prolongs.
    assert!(offers.claim(7, &key, 3000).is_ok());
    assert_eq!(offers.claim(9, &key, 3000), Err(Refused::Busy { retry_ms: CLAIM_MS - 1500 }));
    // A claim that ends makes room, and so does one that is confirmed not.
    assert!(offers.claim(9, &key, 1500 + CLAIM_MS).is_ok());
    assert_eq!(confirm(&mut offers, 7, 0), Ok(Confirmed::First));
    assert!(matches!(offers.claim(8, &key, 1600 + CLAIM_MS), Err(Refused::Busy { .. })));
    // Who has confirmed may fetch again without anybody's place.
    assert!(offers.claim(7, &key, 1600 + CLAIM_MS).is_ok());
    assert_eq!(offers.tick(1600 + CLAIM_MS), 0);
    assert_eq!(offers.tick(1500 + 2 * CLAIM_MS), 1);
    assert_eq!(offers.claim(8, &held(1).key(), 0), Err(Refused::Unknown));
}

#[test]
fn a_store_that_fails_is_put_off_alone_and_named() {
    let mut offers = offers(1, 2);
    let (poison, sound) = (held(0).key(), held(1).key());
    let mut now_ms = 0;
    for failures in 1..=12 {
        assert!(offers.claim(7, &poison, now_ms).is_ok());
        offers.failed(7, &poison, "the digest differs", now_ms);
        let pause_ms = backoff_ms(failures);
        assert_eq!(offers.claim(7, &poison, now_ms), Err(Refused::Busy { retry_ms: pause_ms }));
        assert!(offers.claim(8, &poison, now_ms).is_ok(), "others are not concerned");
        offers.failed(8, &poison, "x", now_ms + TRANSFER_BACKOFF_MS_MAX);
        assert!(offers.claim(7, &sound, now_ms).is_ok(), "and other origins flow");
        assert_eq!(offers.poisoned().any(|poison| poison.store == 7), failures >= POISON_FAILURES);
        now_ms += pause_ms + 2 * TRANSFER_BACKOFF_MS_MAX;
    }
    assert_eq!(backoff_ms(12), TRANSFER_BACKOFF_MS_MAX);
    let named = offers.poisoned().find(|poison| poison.store == 7).unwrap();
    assert_eq!((named.key, named.failures, named.why.as_str()), (poison.clone(), 12, "the digest differs"));
    assert!(matches!(confirm(&mut offers, 7, 0), Ok(Confirmed::Complete(_))));
    assert_eq!(offers.poisoned().count(), 0);
}

#[test]
fn a_lower_replication_completes_what_has_enough() {
    let mut offers = offers(3, 3);
    for (store, piece) in [(7, 0), (8, 0), (7, 1)] {
        assert_eq!(confirm(&mut offers, store, piece), Ok(Confirmed::First));
    }
    assert!(offers.set_replication(4).is_empty());
    let completed: Vec<u64> = offers.set_replication(2).iter().map(|done| done.held.name.piece).collect();
    assert_eq!(completed, [0]);
    assert_eq!(offers.set_replication(0).len(), 1, "R is at least 1");
    assert_eq!(offers.len(), 1);
}

#[test]
fn what_is_offered_again_must_be_confirmed_again() {
    let mut offers = offers(1, 1);
    assert!(!offers.offer(held(0), 5));
    assert!(matches!(confirm(&mut offers, 7, 0), Ok(Confirmed::Complete(_))));
    assert!(offers.offer(held(0), 9));
    assert_eq!(offers.oldest_age_ms(29), Some(20));
    assert!(matches!(confirm(&mut offers, 7, 0), Ok(Confirmed::Complete(_))));
    assert_eq!(offers.oldest_age_ms(29), None);
}

#[test]
fn late_confirmations_are_understood_for_a_while() {
    let mut offers = Offers::new(1);
    for piece in 0..=OFFERS_DONE_MAX as u64 {
        assert!(offers.offer(held(piece), 0));
        assert!(matches!(confirm(&mut offers, 7, piece), Ok(Confirmed::Complete(_))));
    }
    assert_eq!(confirm(&mut offers, 7, 0), Err(ConfirmError::Unknown));
    assert_eq!(confirm(&mut offers, 7, 1), Ok(Confirmed::AlreadyComplete));
}

#[test]
fn what_is_said_is_cut_between_characters() {
    let long = "é".repeat(TRANSFER_WHY_BYTES_MAX);
    assert_eq!(cut(&long).len(), TRANSFER_WHY_BYTES_MAX);
    let odd = alloc::format!("x{long}");
    assert_eq!(cut(&odd).len(), TRANSFER_WHY_BYTES_MAX - 1);
}
