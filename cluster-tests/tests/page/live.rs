//! Records as they arrive.

use std::fs::OpenOptions;
use std::io::Write as _;

use anyhow::{Context as _, Result, ensure};

use super::browser::Browser;
use super::{node, page, send};

#[test]
fn the_live_view_holds_still_while_one_reads_and_keeps_no_more_than_its_ring() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node(dir.path())?;
    let browser = Browser::start()?;
    browser.open(&page(&node, "tick", ""))?;
    browser.wait("document.querySelector('.stats').dataset.state === 'done'")?;
    browser.click("#live")?;
    browser.wait("location.search.includes('live=1')")?;
    browser.wait("document.querySelector('#rate').textContent.includes('received')")?;
    // From a file that is followed, and over HTTP.
    let mut file = OpenOptions::new().create(true).append(true).open(dir.path().join("logs/a.log"))?;
    for number in 0..60 {
        writeln!(file, "tick {number}")?;
    }
    browser.wait("Number(document.querySelector('#rate').dataset.received) === 60")?;
    browser.wait("document.querySelector('[aria-posinset=\"1\"]').textContent.includes('tick 59')")?;
    browser.wait("/^[\\d.]+ records\\/s/.test(document.querySelector('#rate').textContent)")?;

    // Scrolling holds it; what comes is counted, and is there after a click.
    browser.value("document.querySelector('.scroller').scrollTop = 300")?;
    browser.wait("document.querySelector('#pause').textContent === 'Continue'")?;
    send(&node, "t", "a", &(60..80).map(|number| format!("tick {number}")).collect::<Vec<_>>())?;
    browser.wait("document.querySelector('#news:not([hidden])')?.textContent === '20 new'")?;
    browser.wait("document.querySelector('.row').getAttribute('aria-setsize') === '60'")?;
    browser.picture("live")?;
    browser.click("#news")?;
    browser.wait("document.querySelector('[aria-posinset=\"1\"]')?.textContent.includes('tick 79')")?;
    browser.wait("document.querySelector('#news').hidden")?;
    // The space bar does the same.
    browser.value("document.activeElement.blur()")?;
    browser.press(" ")?;
    browser.wait("document.querySelector('#pause').textContent === 'Continue'")?;
    browser.press(" ")?;
    browser.wait("document.querySelector('#pause').textContent === 'Pause'")?;

    // However much comes, the page keeps ten thousand, and every record was shown, or is said to be dropped.
    let sent = 30_000;
    for part in 0..sent / 5000 {
        send(&node, "t", "a", &(0..5000).map(|number| format!("tick {part} {number}")).collect::<Vec<_>>())?;
    }
    send(&node, "t", "a", &["tick last".to_owned()])?;
    browser.wait("document.querySelector('[aria-posinset=\"1\"]')?.textContent.includes('tick last')")?;
    browser.wait("document.querySelector('.row').getAttribute('aria-setsize') === '10000'")?;
    let said = browser.text("document.querySelector('#rate').textContent")?;
    let number = |before: &str| -> u64 {
        let words: Vec<&str> = said.split([' ', '·']).filter(|word| !word.is_empty()).collect();
        let at = words.iter().position(|word| *word == before).unwrap_or_default();
        words.get(at.wrapping_sub(1)).and_then(|word| word.replace(',', "").parse().ok()).unwrap_or_default()
    };
    let received = number("received");
    let dropped = if said.contains("dropped") { number("dropped") } else { 0 };
    ensure!(received + dropped > 80 + sent, "{said}");

    // A sum has no end: it says so instead of waiting for ever.
    browser.open(&page(&node, "tick | count", "&live=1"))?;
    browser.wait("document.querySelector('#problem')?.textContent.includes('no end')")?;
    browser.click("#live")?;
    browser.wait("document.querySelector('.one-number')?.textContent.includes('records')")?;
    browser.no_console_error(&[]).context("live")
}
