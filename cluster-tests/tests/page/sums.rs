//! What filters sum up, drawn and as tables, and as files.

use anyhow::{Context as _, Result, ensure};
use weir_cluster_tests::process::until;

use super::browser::Browser;
use super::{DONE, fill, node, page};

#[test]
fn sums_are_tables_and_charts_and_what_is_shown_can_be_kept() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = node(dir.path())?;
    fill(&node)?;
    let browser = Browser::start()?;
    let cells = "[...document.querySelectorAll('.sum-table tbody tr')].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))";

    browser.open(&page(&node, "topic:orders | count by path", ""))?;
    browser.wait(DONE)?;
    browser.wait(&format!("{cells}.length === 4 && {cells}.every((row) => row[1] === '150')"))?;
    browser.wait("document.querySelectorAll('.hbars li').length === 4")?;
    // The histogram is of what was counted.
    browser.wait("document.querySelector('.legend').textContent.startsWith('600 records')")?;
    browser.picture("count")?;
    // A row leads to its records.
    browser.click(".drill")?;
    browser.wait("/^topic:orders path:/.test(document.querySelector('#q').value)")?;
    browser.wait(DONE)?;
    browser.wait("document.querySelector('.stats summary').textContent.startsWith('150 records')")?;

    browser.open(&page(&node, "topic:orders | top 3 by user.id", ""))?;
    browser.wait(&format!("{cells}.length === 3 && {cells}[0][2].endsWith('%')"))?;
    browser.wait("document.querySelectorAll('.hbars li').length === 3")?;

    browser.open(&page(&node, "topic:orders | stats latency_ms by path", ""))?;
    browser.wait(&format!("{cells}.length === 4"))?;
    browser.wait("document.querySelectorAll('.spread .box-50').length === 4")?;
    browser.click(".sum-table thead th:nth-child(2) button")?;
    browser.wait("document.querySelector('.sum-table th[aria-sort=descending]')?.innerText === 'count'")?;

    browser.open(&page(&node, "topic:orders | stats latency_ms every 1m", ""))?;
    browser.wait("document.querySelectorAll('.lines .line, .lines .dot').length === 4")?;
    browser.wait("document.querySelector('.line-chart figcaption').innerText.includes('p95')")?;
    browser.picture("stats")?;

    browser.open(&page(&node, "topic:orders | patterns", ""))?;
    browser.wait(&format!("{cells}.some((row) => row[0].includes('<*>'))"))?;
    browser.wait("document.querySelectorAll('.hbars li').length > 1")?;

    browser.open(&page(&node, "topic:orders | count", ""))?;
    browser.wait("document.querySelector('.one-number strong').textContent === '600'")?;
    browser.no_console_error(&[])?;

    // Files of what is shown: sums, then records.
    browser.take_downloads()?;
    let keep = |format: &str| -> Result<String> {
        browser.click(".saver summary")?;
        browser.click(&format!(".saver button[data-format={format}]"))?;
        let extension = if format == "text" { "txt" } else { format };
        let find = || -> Result<Option<String>> {
            for entry in std::fs::read_dir(browser.downloads())? {
                let path = entry?.path();
                if path.extension().is_some_and(|end| end == extension) {
                    let text = std::fs::read_to_string(&path)?;
                    if text.is_empty() {
                        // Its name is taken before anything is in it.
                        continue;
                    }
                    std::fs::remove_file(&path)?;
                    return Ok(Some(text));
                }
            }
            Ok(None)
        };
        until("the file is there", find, Option::is_some)?.context("a file")
    };
    ensure!(keep("csv")? == "count\r\n600\r\n", "the sum as csv");
    browser.open(&page(&node, "topic:orders payment level:error", "&columns=status,user.id"))?;
    browser.wait(DONE)?;
    let text = keep("text")?;
    ensure!(text.lines().count() == 20 && text.lines().all(|line| line.starts_with('{')), "{text}");
    let ndjson = keep("ndjson")?;
    let first: serde_json::Value = serde_json::from_str(ndjson.lines().next().unwrap_or_default())?;
    ensure!(first["topic"] == "orders" && first["payload"].is_string(), "{first}");
    let csv = keep("csv")?;
    ensure!(csv.starts_with("id,time,topic,label.host,status,user.id,payload\r\n"), "{csv}");
    ensure!(csv.lines().nth(1).is_some_and(|line| line.contains(",orders,web2,500,")), "{csv}");
    browser.no_console_error(&[])
}
