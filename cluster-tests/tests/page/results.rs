//! What is found: the list, its rows, what stands around one, long lines, many rows.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

use super::browser::Browser;
use super::{DONE, fill, line, node, page, send};

const MANY: usize = 100_000;
const FRAMES: usize = 200;

#[test]
fn rows_open_filter_have_columns_and_surroundings_and_may_be_long_or_many() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node(dir.path())?;
    fill(&node)?;
    let browser = Browser::start()?;
    browser.open(&page(&node, "topic:orders payment", ""))?;
    browser.wait(DONE)?;
    // Newest first, coloured by level, with what was found marked; few of the rows are elements.
    let first = "JSON.parse(document.querySelector('[aria-posinset=\"1\"] .payload').textContent).number";
    browser.wait(&format!("{first} === 597"))?;
    browser.wait("document.querySelector('.row mark')?.textContent === 'payment'")?;
    browser.wait(
        "document.querySelector('.row[data-level=error]') && document.querySelector('.row[data-level=warn]')",
    )?;
    ensure!(
        browser.value("document.querySelectorAll('.row').length < 120")? == true,
        "all rows are elements"
    );
    browser.wait("document.querySelector('.row').getAttribute('aria-setsize') === '200'")?;
    browser.value("(() => { const select = document.querySelector('select[aria-label=Order]'); select.value = 'asc'; select.dispatchEvent(new Event('change')); })()")?;
    browser.wait(DONE)?;
    browser.wait(&format!("{first} === 0"))?;

    // A row opens to its fields and to what it is; a click on a value asks for it, or leaves it out.
    browser.click("[aria-posinset='1'] .open")?;
    browser.wait("document.querySelector('.fields').innerText.includes('user.id')")?;
    browser.wait("document.querySelector('.raw').textContent.startsWith('{\"')")?;
    let field = |name: &str, at: usize| {
        format!(
            "(() => {{ const row = [...document.querySelectorAll('.fields tr')].find((row) => row.querySelector('th').textContent === '{name}'); row.querySelectorAll('button')[{at}].click(); return true; }})()"
        )
    };
    browser.wait(&field("path", 2))?;
    browser.wait("document.querySelector('.list-head').innerText.includes('path')")?;
    browser.wait("document.querySelector('[aria-posinset=\"2\"] .cell')?.textContent === '/p3'")?;
    ensure!(browser.url()?.contains("columns=path"), "{}", browser.url()?);
    browser.wait(&field("user.id", 0))?;
    browser.wait("document.querySelector('#q').value === 'topic:orders payment user.id:0'")?;
    browser.wait(DONE)?;
    browser.click("[aria-posinset='1'] .open")?;
    browser.wait(&field("path", 1))?;
    browser.wait("document.querySelector('#q').value.includes('-path:')")?;
    browser.wait(DONE)?;

    // Around a record: its stream alone, with a step outward, and in the URL.
    browser.open(&page(&node, "\"number\\\":150,\"", "&order=asc"))?;
    browser.wait(DONE)?;
    browser.click("[aria-posinset='1'] .open")?;
    browser.click(".around")?;
    let around = "[...document.querySelectorAll('.context-rows .row .payload')].map((row) => JSON.parse(row.textContent).number)";
    browser
        .wait(&format!("String({around}) === String(Array.from({{ length: 21 }}, (_, at) => 140 + at))"))?;
    browser.wait("document.querySelector('.context-rows .anchor').textContent.includes('150')")?;
    browser.click(".outward:first-of-type")?;
    browser.wait(&format!("{around}[0] === 130 && {around}.at(-1) === 160"))?;
    let link = browser.url()?;
    ensure!(link.contains("around="), "{link}");
    browser.picture("around")?;
    browser.open(&link)?;
    browser.wait(&format!("{around}.includes(150)"))?;
    browser.click("dialog.context .close")?;
    browser.wait("!location.search.includes('around=')")?;
    browser.no_console_error(&[])?;

    // A line of a megabyte is clipped in the list, and shown in parts when it is opened.
    send(&node, "long", "web1", &["short".to_owned(), format!("ERROR begin {} end", "x".repeat(1_000_000))])?;
    browser.open(&page(&node, "topic:long", "&wrap=1"))?;
    browser.wait(DONE)?;
    browser.wait("document.querySelector('.clipped')?.textContent.includes('1.0 MB')")?;
    ensure!(
        browser.value("document.querySelector('[aria-posinset=\"1\"]').offsetHeight < 300")? == true,
        "a long line fills the list"
    );
    browser.click(".open")?;
    browser.wait("document.querySelector('.show-more')?.textContent.includes('are left')")?;
    ensure!(
        browser.value("document.querySelector('.raw').textContent.length < 20000")? == true,
        "all of it at once"
    );
    browser.click(".show-more")?;
    browser.wait("document.querySelector('.raw').textContent.length > 200000")?;
    // What stands below it gives way.
    browser.wait("document.querySelector('[aria-posinset=\"2\"]').getBoundingClientRect().top >= document.querySelector('[aria-posinset=\"1\"]').getBoundingClientRect().bottom - 1")?;

    // Many rows stream in; the list stays usable.
    for part in 0..MANY / 10_000 {
        send(&node, "many", "web1", &(part * 10_000..(part + 1) * 10_000).map(line).collect::<Vec<_>>())?;
    }
    let started = Instant::now();
    browser.open(&page(&node, "topic:many", "&limit=100000"))?;
    browser.wait("document.querySelectorAll('.row').length > 5")?;
    browser.wait(&format!("document.querySelector('.row').getAttribute('aria-setsize') === '{MANY}'"))?;
    let streamed = started.elapsed();
    let frames = browser.run(&format!(
        "const done = arguments[0], list = document.querySelector('.scroller');
         const began = performance.now(); let frames = 0;
         requestAnimationFrame(function scroll() {{
           list.scrollTop += 400;
           if (++frames < {FRAMES}) requestAnimationFrame(scroll);
           else done(frames / ((performance.now() - began) / 1000));
         }});"
    ))?;
    let speed = frames.as_f64().context("frames a second")?;
    eprintln!("{MANY} rows after {streamed:?}, {speed:.0} frames/s while scrolling");
    browser.wait("document.querySelector('.row .payload').textContent.length > 10")?;
    browser.value("document.querySelector('.scroller').scrollTop = 1e9")?;
    browser.wait(&format!(
        "document.querySelector('[aria-posinset=\"{MANY}\"] .payload')?.textContent.includes('\"number\":0,')"
    ))?;
    browser.no_console_error(&[])
}
