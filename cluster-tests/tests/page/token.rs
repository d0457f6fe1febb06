//! A node that asks for a token.

use anyhow::{Result, ensure};
use weir_cluster_tests::process::{Node, config_head, quoted, run};

use super::browser::{Browser, ENTER, ESCAPE};
use super::{DONE, page};

const OPEN: &str = "document.querySelector('dialog.token').open";

fn token(file: &str, name: &str, scopes: &str) -> Result<String> {
    let output = run(&["token", "new", "--name", name, "--scope", scopes, "--file", file])?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn send(node: &Node, secret: &str, lines: &str) -> Result<()> {
    let headers = [("authorization", format!("Bearer {secret}"))];
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let sent = weir_cluster_tests::process::post_with(
        &node.url("/api/v1/ingest?topic=t"),
        &headers,
        lines.as_bytes(),
    )?;
    ensure!(sent.0 == 200, "{}", String::from_utf8_lossy(&sent.1));
    Ok(())
}

#[test]
fn the_page_asks_for_a_token_uses_it_for_everything_and_forgets_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (config, tokens) = (dir.path().join("weir.toml"), dir.path().join("tokens.toml"));
    let file = tokens.display().to_string();
    let (reader, all) = (token(&file, "reader", "query")?, token(&file, "all", "query,tail,ingest,admin")?);
    std::fs::write(
        &config,
        format!("{}[auth]\ntokens_file = {}\n", config_head(dir.path()), quoted(&tokens)),
    )?;
    let node = Node::start(&config)?;
    send(&node, &all, &(0..30).map(|n| format!("tick {n}")).collect::<Vec<_>>().join("\n"))?;

    let browser = Browser::start()?;
    browser.system_colours("light")?;
    browser.open(&page(&node, "tick", ""))?;
    browser.wait(OPEN)?;
    browser.wait("document.activeElement.id === 'token' && document.activeElement.type === 'password'")?;
    browser.wait("document.querySelector('label[for=token]').textContent === 'Token'")?;
    browser.no_violation("the dialog, light")?;
    browser.picture("token-light")?;
    browser.system_colours("dark")?;
    browser.no_violation("the dialog, dark")?;
    browser.picture("token-dark")?;

    // A wrong one is asked for again, with the reason; closed, the page says what it lacks and asks no more by itself.
    browser.press(&format!("weir_wrong{ENTER}"))?;
    browser.wait("document.querySelector('#token-why').textContent.includes('not one of this node')")?;
    browser.press(ESCAPE)?;
    browser.wait(&format!("!{OPEN}"))?;
    browser.wait("document.querySelector('#problem')?.textContent.includes('token')")?;
    browser.click("#token-open")?;
    browser.wait(OPEN)?;

    // By keys alone; then everything works with it: rows, counts, values, streams.
    browser.press(&format!("{reader}{ENTER}"))?;
    browser.wait(DONE)?;
    browser.wait("document.querySelectorAll('.row').length > 5")?;
    browser.wait("document.querySelector('.histogram').dataset.exact === 'true'")?;
    browser.wait("document.querySelector('.facet[data-facet=topic]').dataset.done === '1'")?;
    browser.wait(&format!("!{OPEN} && !document.querySelector('#token-open').hidden"))?;
    ensure!(!browser.url()?.contains("weir_"), "a token in the URL");
    // It is kept for the window, and not longer.
    browser.wait(
        "sessionStorage.getItem('weir.token') !== null && localStorage.getItem('weir.token') === null",
    )?;
    // A scope that lacks is told, not asked for again and again.
    browser.click("#live")?;
    browser.wait("document.querySelector('#problem')?.textContent.includes('scope tail')")?;
    browser.click("#live")?;

    // Another one, remembered.
    browser.click("#token-open")?;
    browser.wait(OPEN)?;
    browser.click("#token-remember")?;
    browser.write("#token", &format!("{all}{ENTER}"))?;
    browser.wait(
        "localStorage.getItem('weir.token') !== null && sessionStorage.getItem('weir.token') === null",
    )?;
    browser.open(&page(&node, "tick", ""))?;
    browser.wait(DONE)?;
    browser.click("#live")?;
    browser.wait("document.querySelector('#rate').textContent.includes('received')")?;
    send(&node, &all, "tick live\n")?;
    browser.wait("document.querySelector('[aria-posinset=\"1\"]')?.textContent.includes('tick live')")?;
    browser.open(&node.url("/ui/?view=plugins"))?;
    browser.wait("document.querySelector('.page h2') !== null")?;

    // What is shown is saved without asking the node, so a download needs no token in a URL.
    browser.take_downloads()?;
    browser.open(&page(&node, "tick", ""))?;
    browser.wait(DONE)?;
    browser.click(".saver summary")?;
    browser.click(".saver .popover button")?;
    weir_cluster_tests::process::until(
        "a download",
        || {
            Ok(std::fs::read_dir(browser.downloads()).map_or(0, |files| {
                files.flatten().filter(|file| file.metadata().is_ok_and(|data| data.len() > 100)).count()
            }))
        },
        |count| *count > 0,
    )?;

    // Forgotten, it is asked for anew.
    browser.click("#token-open")?;
    browser.wait(OPEN)?;
    browser.click("#token-forget")?;
    browser.wait(
        "localStorage.getItem('weir.token') === null && sessionStorage.getItem('weir.token') === null",
    )?;
    browser.wait(OPEN)?;
    browser.no_console_error(&["401", "403"])
}
