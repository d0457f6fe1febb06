//! What is asked: the box of the query, the time, the URL, histogram, statistics, facets.

use anyhow::{Result, ensure};
use weir_cluster_tests::process::{encode, get};

use super::browser::{Browser, DOWN, ENTER, ESCAPE, TAB};
use super::{COUNTED, DONE, fill, node, page, proxy};

const CHOICES: &str = "[...document.querySelectorAll('#choices code')].map((item) => item.textContent)";

fn offers(browser: &Browser, query: &str, wanted: &str) -> Result<()> {
    browser.ask(query)?;
    browser.wait(&format!("{CHOICES}.includes({wanted:?})")).map(drop)
}

#[test]
fn a_query_is_coloured_completed_remembered_and_refused_at_its_column() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node(dir.path())?;
    fill(&node)?;
    let browser = Browser::start()?;
    // Below a path that a proxy adds, everything that is asked for goes through it.
    let outside = proxy::below("/logs", node.url("").replace("http://", ""))?;
    browser.open(&format!("http://{outside}/logs/ui/?q=topic%3Aorders&from=1h"))?;
    browser.wait(DONE)?;
    browser.wait("document.querySelectorAll('.row').length > 5")?;
    browser.wait("document.querySelector('.facet[data-facet=topic]').dataset.done === '1'")?;
    browser.no_console_error(&[])?;

    // Colours.
    browser.ask(r#"topic:orders "declined" /p\d/ -healthz status>=200 | count by path"#)?;
    for (kind, text) in [
        ("field", "topic"),
        ("value", "orders"),
        ("text", "\"declined\""),
        ("regex", "/p\\\\d/"),
        ("operator", "-"),
        ("compare", ">="),
        ("filter", "count"),
    ] {
        browser.wait(&format!(
            "[...document.querySelectorAll('.copy .q-{kind}')].some((part) => part.textContent === {text:?}.replaceAll('\\\\\\\\', '\\\\'))"
        ))?;
    }
    let same = "document.querySelector('.copy').textContent === document.querySelector('#q').value";
    ensure!(browser.value(same)? == true, "the coloured copy has other text");

    // Completion: topics, labels and their values, fields that were seen, levels, filters, their parameters.
    offers(&browser, "topic:or", "orders")?;
    offers(&browser, "label.h", "label.host:")?;
    offers(&browser, "label.host:", "web1")?;
    offers(&browser, "stat", "status:")?;
    offers(&browser, "level:e", "error")?;
    offers(&browser, "orders | pat", "patterns")?;
    offers(&browser, "orders | stats latency_ms ev", "every 5m")?;
    browser.ask("topic:or")?;
    browser.wait(&format!("{CHOICES}.includes('orders')"))?;
    browser.press(DOWN)?;
    browser.press(TAB)?;
    browser.wait("document.querySelector('#q').value === 'topic:orders '")?;
    browser.write("#q", "payment")?;
    browser.press(ESCAPE)?;
    browser.write("#q", ENTER)?;
    browser.wait("new URLSearchParams(location.search).get('q') === 'topic:orders payment'")?;
    browser.wait(DONE)?;

    // Errors stand where they are, while one writes and when one asks.
    browser.ask("payment (declined")?;
    browser.wait("document.querySelector('#query-error .column')?.textContent === 'column 9'")?;
    browser.wait("document.querySelector('.copy .q-wrong')?.textContent === '('")?;
    browser.open(&page(&node, "payment | nosuch", ""))?;
    browser.wait("document.querySelector('#query-error:not([hidden])')?.textContent.includes('nosuch')")?;
    ensure!(browser.value("document.querySelectorAll('.row').length")? == 0, "rows of a query that is wrong");
    browser.no_console_error(&["status of 400"])?;

    // What was asked is remembered, the newest first.
    browser.open(&page(&node, "topic:auth", ""))?;
    browser.wait(DONE)?;
    browser.click(".past")?;
    browser.wait(&format!("{CHOICES}[0] === 'topic:auth'"))?;
    browser.press(DOWN)?;
    browser.press(ENTER)?;
    browser.write("#q", ENTER)?;
    browser.wait(DONE)?;
    browser.no_console_error(&[])
}

#[test]
fn time_histogram_figures_and_facets_lead_on_and_everything_is_in_the_url() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node(dir.path())?;
    fill(&node)?;
    let browser = Browser::start()?;
    browser.open(&page(&node, "topic:orders", ""))?;
    browser.wait(DONE)?;
    browser.wait(COUNTED)?;
    // All of them, by level, whatever the list shows.
    browser.wait("document.querySelector('.legend').textContent.startsWith('600 records')")?;
    for (level, count) in [("error", 60), ("warn", 120), ("info", 300), ("debug", 120)] {
        browser.wait(&format!(
            "document.querySelector('.key.level-{level}').textContent === '{level} {count}'"
        ))?;
        browser.wait(&format!("document.querySelector('rect.level-{level}') !== null"))?;
    }
    // How it came about.
    browser.click(".stats summary")?;
    let figures = browser.text("document.querySelector('.stats').innerText")?;
    for part in ["600 records", "scanned", "records tested", "Skipped", "segments", "Where the time went"] {
        ensure!(figures.contains(part), "{part} is not in {figures}");
    }
    browser.click(".stats summary")?;

    // Facets: counted by the node, and they narrow.
    browser.wait("document.querySelector('.facet[data-facet=topic]').dataset.done === '1'")?;
    browser.click(".facet[data-facet='label.host'] summary")?;
    let host = "document.querySelector('.facet[data-facet=\"label.host\"]')";
    browser.wait(&format!("{host}.dataset.done === '1'"))?;
    browser.wait(&format!("[...{host}.querySelectorAll('.n')].every((n) => n.textContent === '300')"))?;
    browser.write(".facet-field", "status")?;
    browser.write(".facet-field", ENTER)?;
    browser.wait("document.querySelector('.facet[data-facet=status]')?.dataset.done === '1'")?;
    browser.wait("document.querySelector('.facet[data-facet=status]').innerText.includes('540')")?;
    ensure!(browser.url()?.contains("facets=status"), "{}", browser.url()?);
    browser.click(".facet[data-facet=level] li:first-of-type button.value")?;
    browser.wait("document.querySelector('#q').value === 'topic:orders level:error'")?;
    browser.wait(DONE)?;
    browser.wait("document.querySelector('.stats summary').textContent.startsWith('60 records')")?;
    // The browser's own way back.
    browser.back()?;
    browser.wait("document.querySelector('#q').value === 'topic:orders'")?;
    browser.wait(COUNTED)?;

    // A brush over the newer half: a narrower, absolute range that still has the records, which came just now.
    browser.drag(".bars", 0.5, 0.999)?;
    browser.wait("/from=20\\d\\d-/.test(location.search) && /to=20\\d\\d-/.test(location.search)")?;
    browser.wait(DONE)?;
    browser.wait("document.querySelector('.range-name').textContent.includes('→')")?;

    // The picker of times: relative, absolute, and the zone.
    browser.click("#time")?;
    browser.click(".preset:nth-child(2)")?;
    browser.wait("new URLSearchParams(location.search).get('from') === '15m'")?;
    browser.wait("document.querySelector('.range-name').textContent === 'Last 15 minutes'")?;
    browser.click("#time")?;
    browser.fill("#back", "2h30m")?;
    browser.write("#back", ENTER)?;
    browser.wait("new URLSearchParams(location.search).get('from') === '2h30m'")?;
    browser.wait(DONE)?;
    browser.click("#time")?;
    browser.click(".exact fieldset label:last-child input")?;
    browser.wait("location.search.includes('zone=utc')")?;
    browser.wait("document.querySelector('.range-zone').textContent === 'UTC'")?;
    browser.value(
        "(() => { document.querySelector('#from').value = '2001-02-03T04:05:06'; document.querySelector('#to').value = '2001-02-03T05:05:06'; })()",
    )?;
    browser.click("#use-times")?;
    browser.wait("location.search.includes(encodeURIComponent('2001-02-03T04:05:06Z'))")?;
    browser.wait("document.querySelector('.empty:not([hidden])')?.textContent.includes('Nothing found')")?;

    // The same URL shows the same to somebody else.
    browser.open(&node.url(&format!(
        "/ui/?q={}&from=1h&order=asc&wrap=1&columns=status,path&facets=path&zone=utc",
        encode("level:warn")
    )))?;
    browser.wait(DONE)?;
    browser.wait("document.querySelector('#wrap').checked")?;
    browser.wait("document.querySelector('.list-head').innerText.includes('status')")?;
    browser.wait("document.querySelector('.facet[data-facet=path]')?.dataset.done === '1'")?;
    browser.wait("document.querySelector('select[aria-label=Order]').value === 'asc'")?;
    browser.no_console_error(&[])?;

    // Nothing but the node's own files, and under a policy that allows no others.
    let resources =
        "performance.getEntriesByType('resource').every((one) => one.name.startsWith(location.origin))";
    ensure!(browser.value(resources)? == true, "the page asks somebody else");
    let paint = browser.value("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0")?;
    eprintln!("first paint after {paint} ms");
    ensure!(get(&node.url("/ui/"))?.0 == 200, "the page is there");
    Ok(())
}
