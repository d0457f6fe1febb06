//! What is said of nodes: the banner of what is missing, members, plugins, sources.

use anyhow::Result;
use weir_cluster_tests::cluster::Cluster;
use weir_cluster_tests::process::{encode, post, until};

use super::browser::Browser;
use super::node;

const RECORDS: u32 = 4;

#[test]
fn a_lost_node_is_named_in_the_banner_and_on_the_page_of_the_cluster() -> Result<()> {
    let members = [("i", "ingest"), ("s1", "store"), ("s2", "store"), ("q", "query")];
    let mut cluster = Cluster::new(&members, 1, "[storage]\nseal = { age = \"100ms\" }")?;
    cluster.start_all()?;
    let (ingest, query) = (cluster.url("i"), cluster.url("q"));
    let send = |number: u32| {
        post(
            &format!("{ingest}/api/v1/ingest?topic=t&durability=replicated"),
            "text/plain",
            format!("line {number}").as_bytes(),
        )
    };
    for number in 0..RECORDS {
        until("a record is stored", || Ok(send(number)?.0), |status| *status == 200)?;
    }
    let held = cluster.until_metric("s1", "weir_store_origins", |_| true)?;
    let holder = if held > 0.0 { "s1" } else { "s2" };
    let browser = Browser::start()?;
    let asked = format!("{query}/ui/?q={}&from=1h", encode("line"));
    browser.open(&asked)?;
    browser.wait("document.querySelector('.row .payload')?.textContent.startsWith('line ')")?;
    browser.wait("document.querySelector('.stats').dataset.state === 'done'")?;
    browser.wait("document.querySelector('#missing') === null")?;

    let lost = cluster.url(holder);
    cluster.kill(holder)?;
    let named = format!("document.querySelector('#missing')?.innerText.includes({lost:?})");
    until(
        "the banner names the node",
        || {
            browser.open(&asked)?;
            browser.wait("document.querySelector('.stats').dataset.state === 'done'")?;
            browser.value(&named)
        },
        |is| *is == true,
    )?;
    browser.wait("document.querySelector('.incomplete')")?;
    browser.picture("incomplete")?;
    browser.open(&format!("{query}/ui/?view=cluster"))?;
    browser.wait("document.querySelectorAll('.page-table tbody tr').length >= 4")?;
    let row = format!(
        "[...document.querySelectorAll('.page-table tr')].find((row) => row.textContent.includes({lost:?}))"
    );
    browser.wait(&format!("{row}.querySelector('.badge.bad') !== null"))?;
    browser.wait("document.querySelector('.tiles').innerText.includes('copies of every record')")?;
    browser.wait("document.querySelector('.page-table').innerText.includes('ingest')")?;
    browser.picture("cluster")?;
    browser.no_violation("the page of the cluster")?;
    browser.no_console_error(&[])
}

#[test]
fn plugins_say_what_they_may_do_and_sources_what_they_have_done() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node(dir.path())?;
    std::fs::write(dir.path().join("logs/a.log"), "one\ntwo\nthree\n")?;
    let browser = Browser::start()?;
    browser.open(&node.url("/ui/"))?;
    browser.click("nav a[data-view=plugins]")?;
    browser.wait("location.search.includes('view=plugins')")?;
    let row = |name: &str| {
        format!(
            "[...document.querySelectorAll('.page-table tbody tr')].find((row) => row.cells[0].innerText.startsWith('{name}'))"
        )
    };
    browser.wait(&format!("{}.innerText.includes('files')", row("file-source")))?;
    browser.wait(&format!("{}.innerText.includes('followed: running')", row("file-source")))?;
    browser.wait(&format!("Number({}.cells[7].innerText.replaceAll(',', '')) > 0", row("file-source")))?;
    browser.wait(&format!("{}.cells[1].innerText === 'aggregate'", row("count")))?;
    browser.wait(&format!("/^[0-9a-f]{{12}}$/.test({}.cells[3].innerText)", row("count")))?;
    browser.wait(&format!("{}.cells[6].innerText === 'files.logs'", row("file-source")))?;
    browser.wait(&format!("{}.cells[10].innerText.endsWith(' of 67.1 MB')", row("file-source")))?;
    browser.picture("plugins")?;
    browser.no_violation("the page of the plugins")?;
    browser.click("nav a[data-view=sources]")?;
    browser.wait(&format!("{}.cells[2].innerText === 'running'", row("followed")))?;
    browser.wait(&format!("{}.cells[3].innerText === 'yes'", row("followed")))?;
    browser.wait(&format!("{}.cells[5].innerText === '3'", row("followed")))?;
    browser.wait(&format!("/\\/s$/.test({}.cells[4].innerText)", row("followed")))?;
    browser.picture("sources")?;
    browser.no_violation("the page of the sources")?;
    browser.no_console_error(&[])
}
