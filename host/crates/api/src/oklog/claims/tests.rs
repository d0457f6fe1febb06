//! One consumer after the other, step by step.

use weir_record::limits::{
    OKLOG_CLAIM_MS_MAX, OKLOG_CLAIMS_MAX, OKLOG_SUSPECT_ALONE_MS_MAX, OKLOG_SUSPECT_PAUSE_MS_MAX,
    OKLOG_SUSPECT_PAUSE_MS_MIN,
};

use super::*;

/// Claims on the pieces 1 to `pieces`, those that were committed being gone.
struct Run {
    claims: Claims<u32>,
    backlog: Vec<u32>,
    now_ms: u64,
    drawn: u128,
}

impl Run {
    fn new(pieces: u32) -> Run {
        Run { claims: Claims::default(), backlog: (1..=pieces).collect(), now_ms: 0, drawn: 0 }
    }

    fn next(&mut self) -> Option<(ClaimId, u32)> {
        self.drawn += 1;
        let claim = ClaimId::of_entropy(self.drawn);
        let wanted = self.claims.wanted();
        let oldest = self.backlog.iter().copied().take(wanted);
        let backlog = &self.backlog;
        let piece = self.claims.next(self.now_ms, claim, oldest, |piece| backlog.contains(piece))?;
        Some((claim, piece))
    }

    fn read(&mut self, claim: ClaimId) -> Result<u32, ClaimRefused> {
        let piece = self.claims.read(self.now_ms, claim)?;
        self.claims.read_whole(claim);
        Ok(piece)
    }

    fn commit(&mut self, claim: ClaimId) -> Result<(), ClaimRefused> {
        let piece = self.claims.commit(self.now_ms, claim)?;
        self.backlog.retain(|other| *other != piece);
        self.claims.committed(claim);
        Ok(())
    }

    fn fail(&mut self, claim: ClaimId) -> Result<(), ClaimRefused> {
        self.claims.failed(self.now_ms, claim)
    }
}

#[test]
fn pieces_are_claimed_oldest_first_and_each_once() {
    let mut run = Run::new(3);
    let claimed: Vec<u32> = std::iter::from_fn(|| run.next().map(|(_, piece)| piece)).collect();
    assert_eq!(claimed, [1, 2, 3]);
    assert_eq!(run.claims.open().count(), 3);
}

#[test]
fn a_claim_is_read_once_and_committed_only_when_that_was_to_the_end() {
    let mut run = Run::new(1);
    let (claim, _) = run.next().unwrap();
    assert_eq!(run.commit(claim), Err(ClaimRefused::Unread));
    assert_eq!(run.claims.read(0, claim), Ok(1));
    assert_eq!(run.claims.read(0, claim), Err(ClaimRefused::Read));
    assert_eq!(run.commit(claim), Err(ClaimRefused::Unread), "the read is under way");
    run.claims.read_whole(claim);
    assert_eq!(run.claims.read(0, claim), Err(ClaimRefused::Read));
    assert_eq!(run.commit(claim), Ok(()));
    for refused in [run.commit(claim), run.fail(claim), run.read(claim).map(|_| ())] {
        assert_eq!(refused, Err(ClaimRefused::Unknown));
    }
    assert_eq!(run.next(), None);
}

#[test]
fn a_commit_that_cannot_be_done_gives_the_piece_back() {
    let mut run = Run::new(1);
    let (claim, _) = run.next().unwrap();
    run.read(claim).unwrap();
    assert_eq!(run.claims.commit(0, claim), Ok(1));
    assert_eq!(run.claims.commit(0, claim), Err(ClaimRefused::Unknown), "it is being committed");
    run.fail(claim).unwrap();
    run.now_ms += OKLOG_SUSPECT_PAUSE_MS_MIN;
    assert_eq!(run.next().map(|(_, piece)| piece), Some(1));
}

#[test]
fn a_claim_that_is_never_settled_times_out_and_goes_back() {
    let mut run = Run::new(1);
    let (claim, _) = run.next().unwrap();
    run.read(claim).unwrap();
    run.now_ms = OKLOG_CLAIM_MS_MAX;
    assert_eq!(run.next(), None);
    run.now_ms += 1;
    assert_eq!(run.commit(claim), Err(ClaimRefused::Unknown));
    run.now_ms += OKLOG_SUSPECT_PAUSE_MS_MIN;
    let (again, piece) = run.next().unwrap();
    assert!(piece == 1 && again != claim);
}

#[test]
fn a_piece_that_came_back_is_offered_after_a_pause_that_doubles() {
    let mut run = Run::new(1);
    let mut pause_ms = OKLOG_SUSPECT_PAUSE_MS_MIN;
    for round in 1..40 {
        let (claim, _) = run.next().unwrap();
        run.fail(claim).unwrap();
        let (_, suspect) = run.claims.suspects().next().unwrap();
        assert_eq!(suspect, Suspect { failures: round, due_ms: run.now_ms + pause_ms });
        run.now_ms = suspect.due_ms - 1;
        assert_eq!(run.next(), None);
        run.now_ms += 1;
        pause_ms = (pause_ms * 2).min(OKLOG_SUSPECT_PAUSE_MS_MAX);
    }
    let (claim, _) = run.next().unwrap();
    run.read(claim).unwrap();
    run.commit(claim).unwrap();
    assert_eq!(run.claims.suspects().count(), 0, "what was committed is good");
}

#[test]
fn a_suspect_goes_alone_and_holds_the_others_up_for_seconds_at_most() {
    let mut run = Run::new(3);
    let (bad, _) = run.next().unwrap();
    run.fail(bad).unwrap();
    let (open, piece) = run.next().unwrap();
    assert_eq!(piece, 2, "the others go on meanwhile");

    run.now_ms = OKLOG_SUSPECT_PAUSE_MS_MIN;
    assert_eq!(run.next(), None, "what is claimed is to be settled first");
    run.read(open).unwrap();
    run.commit(open).unwrap();
    let (bad, piece) = run.next().unwrap();
    assert_eq!(piece, 1);
    assert_eq!(run.next(), None, "nothing goes beside it");
    run.fail(bad).unwrap();
    let (slow, piece) = run.next().unwrap();
    assert_eq!(piece, 3);

    // A consumer that says nothing keeps a suspect back for a while, and a suspect what is behind it.
    run.backlog.push(4);
    run.now_ms += 2 * OKLOG_SUSPECT_PAUSE_MS_MIN;
    assert_eq!(run.next(), None);
    run.now_ms += OKLOG_SUSPECT_ALONE_MS_MAX;
    assert_eq!(run.next().map(|(_, piece)| piece), Some(1));
    assert_eq!(run.next(), None);
    run.now_ms += OKLOG_SUSPECT_ALONE_MS_MAX;
    assert_eq!(run.next().map(|(_, piece)| piece), Some(4));
    assert!(run.read(slow).is_ok());
}

/// A consumer as OK Log has it: gathers, then sends all on as one; with a poison piece in it all fail.
#[test]
fn a_poison_piece_never_blocks_the_others() {
    const POISON: u32 = 3;
    let mut run = Run::new(20);
    let mut gathered: Vec<(ClaimId, u32)> = Vec::new();
    let mut empty = 0;
    while run.backlog != [POISON] {
        assert!(run.now_ms < 120_000, "still there: {:?}", run.backlog);
        run.now_ms += 100;
        if let Some((claim, piece)) = run.next() {
            run.read(claim).unwrap();
            gathered.push((claim, piece));
            empty = 0;
        } else {
            empty += 1;
        }
        // Two seconds of gathering, or three times nothing.
        if gathered.len() == 20 || empty == 3 {
            let poisoned = gathered.iter().any(|(_, piece)| *piece == POISON);
            for (claim, _) in gathered.drain(..) {
                if poisoned { run.fail(claim).unwrap() } else { run.commit(claim).unwrap() }
            }
            empty = 0;
        }
    }
    // And it does not hold up what comes later, whatever it does itself.
    run.backlog.push(21);
    run.now_ms += OKLOG_SUSPECT_PAUSE_MS_MAX + OKLOG_SUSPECT_ALONE_MS_MAX;
    let (_, piece) = run.next().unwrap();
    assert_eq!(piece, POISON);
    run.now_ms += OKLOG_SUSPECT_ALONE_MS_MAX;
    assert_eq!(run.next().map(|(_, piece)| piece), Some(21));
}

#[test]
fn pieces_that_have_left_the_backlog_are_forgotten() {
    let mut run = Run::new(2);
    let (claim, _) = run.next().unwrap();
    run.fail(claim).unwrap();
    run.backlog.remove(0);
    run.now_ms += OKLOG_SUSPECT_PAUSE_MS_MIN;
    assert_eq!(run.next().map(|(_, piece)| piece), Some(2));
    assert_eq!(run.claims.suspects().count(), 0);
}

#[test]
fn open_claims_are_bounded() {
    let mut run = Run::new(OKLOG_CLAIMS_MAX as u32 + 1);
    assert_eq!(std::iter::from_fn(|| run.next()).count(), OKLOG_CLAIMS_MAX);
}
