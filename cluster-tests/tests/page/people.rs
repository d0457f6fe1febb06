//! How the page meets people: colours, keys, narrow windows, those who hear it.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::browser::{Browser, ENTER, ESCAPE};
use super::{COUNTED, DONE, fill, node, page};

fn settled(browser: &Browser) -> Result<()> {
    browser.wait(DONE)?;
    browser.wait(COUNTED)?;
    browser.wait("document.querySelector('.facet[data-facet=topic]').dataset.done === '1'").map(drop)
}

fn back(browser: &Browser) -> Result<Value> {
    browser.value("getComputedStyle(document.body).backgroundColor")
}

#[test]
fn it_is_dark_and_light_runs_by_keys_fits_a_telephone_and_can_be_heard() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node(dir.path())?;
    fill(&node)?;
    let browser = Browser::start()?;
    browser.system_colours("light")?;
    browser.open(&page(&node, "topic:orders", "&columns=status,path"))?;
    settled(&browser)?;
    let light = back(&browser)?;
    browser.picture("light")?;
    browser.no_violation("light")?;
    browser.system_colours("dark")?;
    let dark = back(&browser)?;
    ensure!(light != dark, "the system's colours change nothing");
    browser.picture("dark")?;
    browser.no_violation("dark")?;
    // By hand, against the system, and also the next time.
    browser.value("(() => { const select = document.querySelector('#theme'); select.value = 'light'; select.dispatchEvent(new Event('change')); })()")?;
    ensure!(back(&browser)? == light, "light by hand");
    browser.open(&page(&node, "topic:orders", ""))?;
    settled(&browser)?;
    ensure!(back(&browser)? == light, "light by hand is not kept");

    // Keys.
    browser.press("/")?;
    browser.wait("document.activeElement.id === 'q'")?;
    browser.press(ESCAPE)?;
    browser.wait("document.activeElement.id !== 'q' || document.querySelector('#choices').hidden")?;
    browser.press(ESCAPE)?;
    browser.wait("document.activeElement.id !== 'q'")?;
    let current = "document.querySelector('.row.current')?.getAttribute('aria-posinset')";
    browser.press("jjj")?;
    browser.wait(&format!("{current} === '3'"))?;
    browser.press("k")?;
    browser.wait(&format!("{current} === '2'"))?;
    browser.press(ENTER)?;
    browser.wait("document.querySelector('.row.current.opened .fields') !== null")?;
    browser.no_violation("an open record")?;
    browser.picture("open")?;
    browser.press(ENTER)?;
    browser.wait("document.querySelector('.row.opened') === null")?;
    browser.press("e")?;
    browser.wait("document.querySelector('.row.current')?.dataset.level === 'error'")?;
    let first = browser.text(current)?;
    browser.press("e")?;
    browser.wait(&format!("Number({current}) === {first} + 10"))?;
    browser.press("E")?;
    browser.wait(&format!("{current} === '{first}'"))?;
    browser.press("w")?;
    browser.wait("document.querySelector('#wrap').checked")?;
    browser.press("t")?;
    browser.wait("!document.querySelector('.time-panel').hidden")?;
    browser.no_violation("the picker of times")?;
    browser.press(ESCAPE)?;
    browser.wait("document.querySelector('.time-panel').hidden")?;
    browser.value("document.activeElement.blur()")?;
    browser.press("?")?;
    browser.wait("document.querySelector('dialog.help').open")?;
    browser.no_violation("help")?;
    browser.press(ESCAPE)?;
    browser.wait("!document.querySelector('dialog.help').open")?;

    // What a reader of screens is told: names of all controls, news as they come, where one is.
    for condition in [
        "document.querySelector('#q').getAttribute('aria-label') === 'Query'",
        "document.querySelector('.stats-place [role=status]').textContent.startsWith('600 records')",
        "document.querySelector('.bars').getAttribute('aria-label').includes('600')",
        "[...document.querySelectorAll('button')].every((one) => one.hidden || one.textContent.trim() || one.getAttribute('aria-label'))",
        "document.querySelector('.row').getAttribute('role') === 'listitem'",
        "document.querySelector('nav a[aria-current=page]').textContent === 'Explore'",
    ] {
        browser.wait(condition)?;
    }

    // A telephone: nothing sticks out.
    browser.size(390, 800, true)?;
    browser.open(&page(&node, "topic:orders", ""))?;
    browser.wait(DONE)?;
    browser.wait(COUNTED)?;
    browser.wait("document.querySelectorAll('.row').length > 3")?;
    browser.wait("document.documentElement.scrollWidth <= innerWidth")?;
    browser.picture("telephone")?;
    browser.no_violation("on a telephone")?;
    browser.click(".facets-button")?;
    browser.wait("document.querySelector('.facets').getBoundingClientRect().width > 200")?;
    browser.picture("telephone-values")?;
    for view in ["cluster", "plugins", "sources"] {
        browser.open(&node.url(&format!("/ui/?view={view}")))?;
        browser.wait("document.querySelector('.page h2') !== null")?;
        browser.wait("document.documentElement.scrollWidth <= innerWidth")?;
    }
    browser.no_console_error(&[])
}
