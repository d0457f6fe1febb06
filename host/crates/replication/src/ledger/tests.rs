use weir_segment::{OriginName, Unit};

use super::*;

fn key(piece: u64, partition: u16) -> OriginKey {
    let unit = Unit::new(0, 1000, "a", partition, 4).unwrap();
    OriginKey { unit, name: OriginName { node: 1, epoch: 2, piece } }
}

fn ticket(waiting: Waiting) -> Ticket {
    match waiting {
        Waiting::For(ticket) => ticket,
        Waiting::Done => panic!("there is something to wait for"),
    }
}

#[test]
fn a_piece_is_done_with_the_last_of_its_origins() {
    let mut ledger = Ledger::new(5);
    let early = ticket(ledger.wait(5));
    assert_eq!(ledger.wanted_piece(), Some(5));
    assert!(ledger.sealed(5, [key(5, 0), key(5, 1)]).is_empty());
    assert_eq!(ledger.wanted_piece(), None);
    let late = ticket(ledger.wait(5));
    assert_eq!(ledger.len(), 2);
    assert!(ledger.confirmed(&key(5, 0)).is_empty());
    assert!(ledger.confirmed(&key(5, 0)).is_empty(), "a repeat is no second origin");
    assert!(ledger.confirmed(&key(5, 3)).is_empty(), "nor is one of another name");
    assert_eq!(ledger.confirmed(&key(5, 1)), [early, late]);
    assert_eq!(ledger.wait(5), Waiting::Done);
    assert!(ledger.is_empty());
}

#[test]
fn a_piece_without_origins_is_done_when_it_is_sealed() {
    let mut ledger = Ledger::new(0);
    let waiting = ticket(ledger.wait(0));
    assert_eq!(ledger.sealed(0, []), [waiting]);
    assert!(ledger.sealed(0, [key(0, 0)]).is_empty(), "it is sealed once");
    assert_eq!(ledger.wait(0), Waiting::Done);
}

#[test]
fn pieces_may_be_sealed_and_handed_over_in_any_order() {
    let mut ledger = Ledger::new(10);
    assert_eq!(ledger.wait(9), Waiting::Done, "of an earlier process");
    let waits: Vec<Ticket> = (10..14).map(|piece| ticket(ledger.wait(piece))).collect();
    for piece in [12, 10, 13, 11] {
        let before = ledger.wanted_piece();
        assert!(before.is_some_and(|wanted| wanted <= piece));
        assert!(ledger.sealed(piece, [key(piece, 0)]).is_empty());
    }
    for piece in [13, 11, 10, 12] {
        assert_eq!(ledger.confirmed(&key(piece, 0)), [waits[(piece - 10) as usize]]);
    }
    assert_eq!(ledger.wait(13), Waiting::Done);
    assert!(matches!(ledger.wait(14), Waiting::For(_)));
}

#[test]
fn who_waits_no_more_is_not_called() {
    let mut ledger = Ledger::new(0);
    let (one, two) = (ticket(ledger.wait(0)), ticket(ledger.wait(0)));
    ledger.cancel(0, one);
    ledger.cancel(0, one);
    assert_eq!(ledger.sealed(0, []), [two]);
    ledger.cancel(0, two);
    let three = ticket(ledger.wait(1));
    ledger.cancel(1, three);
    assert!(ledger.is_empty() && ledger.wanted_piece().is_none());
    assert!(three > two, "no ticket is given twice");
}
